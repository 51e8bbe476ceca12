"""The standard streams of a command: what it prints arrives, or one line says why it does not.

A film goes to standard output through :mod:`vidlink.commands.pipe`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from vidlink.errors import UserMistake


def tell(text: str) -> None:
    """Print `text` as a line, at once.

    :raises UserMistake: if it cannot be written, such as to a full disk.
    :raises BrokenPipeError: if whoever read has gone.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        raise given_up(error) from None


def log_warnings(besides: str = "") -> None:
    """Log to standard error what is a warning or worse; of the module `besides`, errors only."""
    levels = LogLevelFilterPredicate(LogLevel.warn)
    if besides:
        levels.setLogLevelForNamespace(besides, LogLevel.error)
    warnings = FilteringLogObserver(textFileLogObserver(sys.stderr), [levels])
    globalLogBeginner.beginLoggingTo([warnings], redirectStandardIO=False)


@contextmanager
def printing() -> Iterator[None]:
    """All that is printed within it has been written when it ends.

    :raises UserMistake: as :func:`tell`, and if there is no standard output: the next file or
        socket would get its number.
    :raises BrokenPipeError: if whoever read has gone.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            if name == "stdout":
                raise UserMistake("standard output is closed; for no output, > /dev/null")
            # In this order each has its own number again.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # until the end
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError as error:
            raise given_up(error) from None


def given_up(error: OSError) -> Exception:
    """The error to raise when standard output cannot be written, which is not tried again."""
    # Python would complain of what it cannot write at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return error
    return UserMistake(f"cannot write to standard output: {error.strerror}")
