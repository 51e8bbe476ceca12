"""``vidlink fsck``: is the data folder what was recorded, and what can be mended of it?"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from vidlink.daemon import wall_clock_us
from vidlink.disk import Disk
from vidlink.errors import UserMistake, VidlinkError
from vidlink.quantities import count, length, size
from vidlink.store.fsck.check import Check, Summary
from vidlink.store.fsck.findings import Finding
from vidlink.terminal.asking import AnywhereOptions
from vidlink.terminal.output import tell
from vidlink.terminal.progress import Progress
from vidlink.terminal.words import shown

COMMAND = "vidlink fsck"
SOUND, DAMAGED, CANNOT, INTERRUPTED = 0, 1, 2, 130


class Options(AnywhereOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "DATA [options]"
    longdesc = (
        "Reads all of the data folder DATA of a server, which must not be running, and says "
        "what is not as it was recorded. Without options it changes nothing. The exit status is "
        "0 if all is sound, 1 if there is damage, mended or not, 2 if it could not be checked."
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        ["repair", None, "State what is damaged, and make the database agree with the folders."],
        ["rebuild", None, "The same, and make lost records anew from the segments."],
        ["json", "j", "One JSON object a line, the last one with the summary."],
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; a mistake has the status of a folder that cannot be checked."""
        try:
            super().parseOptions(options)
        except SystemExit as exit:
            if not isinstance(exit.code, str):
                raise
            print(exit.code, file=sys.stderr)
            raise SystemExit(CANNOT) from None

    def parseArgs(self, data: str | None = None) -> None:
        """The folder."""
        if data is None:
            raise UserMistake("say which data folder, such as 'vidlink fsck vidlink-data'")
        self["data"] = data


def run(options: Options) -> int:
    """Check, and mend if that is asked for; returns the exit status."""
    stream = sys.stderr
    is_terminal = stream.isatty()
    progress = Progress(stream, time.monotonic, 0, is_terminal)
    progress.label = "checked"
    output = Output(_put, progress if is_terminal else None, is_json=bool(options["json"]))
    try:
        return check(options, output, wall_clock_us)
    except VidlinkError as error:
        output.wipe()
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return CANNOT
    except KeyboardInterrupt:
        output.wipe()
        print(f"{COMMAND}: interrupted; the same command begins again", file=sys.stderr)
        return INTERRUPTED


def _put(line: str) -> None:
    """Print a line at once: what cannot be told is not looked for."""
    try:
        tell(line)
    except BrokenPipeError:
        raise UserMistake("nobody reads what it finds any more, so it has stopped") from None


class Output:
    """Where findings go: each on a line, in words or as JSON.

    :param put: takes a line.
    :param progress: the bar above which they stand; None: there is none.
    """

    def __init__(
        self, put: Callable[[str], None], progress: Progress | None, *, is_json: bool
    ) -> None:
        self._put = put
        self._progress = progress
        self._as_json = is_json

    def find(self, finding: Finding) -> None:
        """One finding."""
        self.wipe()
        self._put(json.dumps(finding_json(finding)) if self._as_json else finding_words(finding))

    def sum_up(self, summary: Summary, seconds: float) -> None:
        """The last line."""
        self.wipe()
        if self._as_json:
            self._put(json.dumps(summary_json(summary, seconds)))
        else:
            self._put(summary_words(summary, seconds))

    def expect(self, size_bytes: int) -> None:
        """So much there is to read."""
        if self._progress is not None:
            self._progress.total_bytes = size_bytes

    def came(self, size_bytes: int) -> None:
        """So much was read."""
        if self._progress is not None:
            self._progress.came(size_bytes)

    def wipe(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.wipe()


def check(options: Options, output: Output, now_us: Callable[[], int]) -> int:
    """Check, and tell `output`; returns the exit status.

    :raises VidlinkError: if the folder cannot be checked.
    """
    began = time.monotonic()
    work = Check(options["data"], Disk(), put=output.find, expect=output.expect, came=output.came)
    if options["repair"] or options["rebuild"]:
        work.repair(now_us(), is_rebuilding=bool(options["rebuild"]))
    else:
        work.run()
    output.sum_up(work.summary, time.monotonic() - began)
    return DAMAGED if work.summary.damage else SOUND


def finding_words(finding: Finding) -> str:
    """A finding on one line: where, what, and what was done."""
    place = "/".join(one for one in (finding.sentinel_id, finding.session_id) if one)
    if finding.part is not None:
        place += f" part {finding.part}"
    where = f"{place}: " if place else ""
    done = f" ({shown(finding.mended)})" if finding.mended else ""
    return f"{finding.kind.value}: {where}{shown(finding.text)}{done}"


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "finding": finding.kind.value,
        "isDamage": finding.is_damage,
        "sentinelId": finding.sentinel_id,
        "sessionId": finding.session_id,
        "part": finding.part,
        "first": finding.first,
        "last": finding.last,
        "text": finding.text,
        "mended": finding.mended,
    }


def summary_words(summary: Summary, seconds: float) -> str:
    """The outcome of a run, on one line."""
    looked = (
        f"{count(summary.sessions, 'session')}, {count(summary.parts, 'part')}, "
        f"{count(summary.segments, 'segment')}, {size(summary.read_bytes)} "
        f"in {length(seconds)}"
    )
    if not summary.damage:
        return f"sound: {looked}"
    found = count(summary.damage, "finding")
    return f"{found} of damage, {summary.mended:,} mended: {looked}"


def summary_json(summary: Summary, seconds: float) -> dict[str, Any]:
    """The outcome of a run, for programs."""
    return {
        "finding": "summary",
        "sessions": summary.sessions,
        "parts": summary.parts,
        "segments": summary.segments,
        "readBytes": summary.read_bytes,
        "seconds": round(seconds, 3),
        "damage": summary.damage,
        "mended": summary.mended,
        "notes": summary.notes,
    }
