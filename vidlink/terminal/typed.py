"""Passwords: typed by a person and not shown, or one line of standard input."""

from __future__ import annotations

import getpass
import sys

from vidlink.errors import UserMistake

#: As a shell has it for what SIGINT has ended.
INTERRUPTED = 130


def is_somebody_there() -> bool:
    """True if a person can be asked."""
    return sys.stdin.isatty()


def typed_line(question: str) -> str:
    """The answer of a person; it is shown as they type."""
    try:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def typed_password(question: str) -> str:
    """The password that a person answers, or the next line of standard input.

    :raises UserMistake: if there is none.
    """
    if not is_somebody_there():
        line = sys.stdin.readline()
        if not line:
            raise UserMistake("no password: give it as one line of standard input")
        return line.rstrip("\r\n")
    try:
        return getpass.getpass(question)
    except EOFError:
        raise UserMistake("no password was typed") from None
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
