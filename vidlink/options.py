"""Command-line options that answer a mistake with one line, not with a page or a traceback.

Each command's own options stand in its tap module, or in :mod:`vidlink.commands`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from twisted.python import usage

import vidlink
from vidlink.errors import UserMistake, VidlinkError
from vidlink.quantities import figure


class CannotStart(SystemExit, Exception):
    """Ends the process with status 1 and one line on standard error.

    It is also an `Exception`, because twistd in the background tells only those to the process
    that waits for the start; a mere `SystemExit` would leave that one waiting for ever.
    """


class OneLineOptions(usage.Options):
    """`twisted.python.usage.Options` that leaves with one line on a mistake."""

    #: The command as it is typed; it stands before every message.
    command = "vidlink"
    #: The rest of the command line, in short.
    synopsis = "[options]"

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return f"Usage: {self.command} {self.synopsis}"

    def opt_version(self) -> None:
        """Show the version and leave."""
        print(f"vidlink {vidlink.__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; a mistake ends the process with status 1 and one line that says what to do."""
        try:
            super().parseOptions(options)
            _check_files(getattr(self, "parent", None) or {})
        except (usage.UsageError, UserMistake) as mistake:
            raise SystemExit(f"{self.command}: {mistake} (see --help)") from None

    def number(self, name: str, kind: type, low: float, high: float) -> Any:
        """Replace the text of option `name` by a number in range, and return it.

        :raises UserMistake: if it is not one.
        """
        value = self[name] = number(f"--{name}", self[name], kind, low, high)
        return value

    def word(self, name: str, words: type[Enum]) -> Any:
        """Replace the text of option `name` by the member of `words` it names, and return it.

        :raises UserMistake: if it names none.
        """
        for member in words:
            if member.value == self[name]:
                self[name] = member
                return member
        known = " or ".join(str(member.value) for member in words)
        raise UserMistake(f"--{name} takes {known}, not {self[name]!r}")


def number(option: str, text: str, kind: type, low: float, high: float) -> Any:
    """The number in range that `text` is, which was given with `option`.

    :raises UserMistake: if it is none.
    """
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        ends = f"{figure(low)} to {figure(high)}"
        raise UserMistake(f"{option} takes a number from {ends}, not {text!r}")
    return value


def _check_files(twistd: Mapping[str, Any]) -> None:
    """Check that twistd can write what its own options name; it would end with a traceback.

    :raises UserMistake: if it cannot.
    """
    # In another root nothing can be looked at from here.
    if "pidfile" not in twistd or twistd.get("chroot") is not None:
        return
    folder = os.path.abspath(twistd["rundir"])
    if not os.path.isdir(folder) or not os.access(folder, os.X_OK):
        raise UserMistake(
            f"twistd cannot run in {folder}, which is no folder that may be entered; before the "
            "command give --rundir: name another folder"
        )
    if twistd["pidfile"]:
        _check_writable("pid", twistd["pidfile"], "name another file, or none with --pidfile=")
    is_elsewhere = twistd.get("logger") or twistd.get("syslog")
    log = twistd["logfile"] or ("" if twistd["nodaemon"] else "twistd.log")
    if log not in ("", "-") and not is_elsewhere:
        _check_writable("log", log, "name another file, or run in the foreground with -n")


def _check_writable(what: str, name: str, way_out: str) -> None:
    """Open it as twistd will; what was not there before is not there afterwards."""
    path = os.path.abspath(name)
    was_there = os.path.lexists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    except OSError as error:
        raise UserMistake(
            f"twistd cannot write its {what} to {path} ({error.strerror}); before the command give "
            f"--{what}file: {way_out}"
        ) from None
    if not was_there:
        os.remove(path)


def or_exit(command: str, make: Callable[[], Any]) -> Any:
    """`make()`; an error of ours in it ends the process with status 1 and one line."""
    try:
        return make()
    except VidlinkError as error:
        raise CannotStart(f"{command}: {error}") from None
