"""``vidlink export``: recordings as MP4 files: resumed where it was interrupted, and checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError

from vidlink.client import History
from vidlink.client.download import Downloaded, fetch, verify
from vidlink.client.partfile import PartFile
from vidlink.commands.plan import Job, Wish, plan
from vidlink.errors import Damaged, NotFound, UserMistake, VidlinkError
from vidlink.httpjson.objects import GAP
from vidlink.model import Gap
from vidlink.quantities import count, size
from vidlink.terminal.asking import RangeOptions
from vidlink.terminal.output import tell
from vidlink.terminal.progress import Progress
from vidlink.terminal.running import run_with_history
from vidlink.terminal.words import age, gap_words

COMMAND = "vidlink export"
#: Exit statuses, besides that of an interruption.
WHOLE, FAILED, WITH_GAPS = 0, 1, 2


class Options(RangeOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "SENTINEL [SESSION] | --group GROUP [options]"
    longdesc = (
        "Fetches recordings as MP4 files, one for each session: one session, all of a sentinel, "
        "or all of a group, or what of them lies between --from and --to. Run again, it goes on "
        "where it was interrupted. Ends with status 0 when everything is there and whole, 2 when "
        "recordings have gaps (NAME.gaps.json says which), 1 when something could not be had."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["group", "g", None, "All sentinels that were in this group then."],
        ["output", "o", ".", "A folder, or for a single recording a file such as x.mp4."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["force", "f", "Fetch again what is there already, and replace it."],
    ]

    def parseArgs(self, sentinel: str | None = None, session: str | None = None) -> None:
        """The sentinel, and the session."""
        self["sentinel"], self["session"] = sentinel, session

    def postOptions(self) -> None:
        """Check all of it."""
        if (self["sentinel"] is None) == (self["group"] is None):
            raise UserMistake("say which SENTINEL, or which --group, and not both")
        self.check_names()
        self.read_range()

    def wish(self) -> Wish:
        """The wish that the options are."""
        return Wish(self["sentinel"], self["session"], self["group"], self["from"], self["to"])


class Export:
    """One run: job after job, with one progress over all of them.

    :param clock: `IReactorTime`.
    :param put: takes the line for each file that is there.
    """

    def __init__(
        self,
        history: History,
        clock: Any,
        progress: Progress,
        put: Callable[[str], None],
        is_forced: bool,
    ) -> None:
        self._history = history
        self._clock = clock
        self._progress = progress
        self._put = put
        self._is_forced = is_forced
        self.failed: list[str] = []
        self.stale_count = 0
        self.gap_count = 0

    async def run(self, jobs: list[Job], place: Callable[[Job], Path]) -> int:
        """Do all of `jobs`; the exit status. One that fails does not stop the others.

        :raises UserMistake: if nothing can be written, so that it is no use to go on.
        """
        for number, job in enumerate(jobs, 1):
            self._progress.label = (
                job.name if len(jobs) == 1 else f"{number}/{len(jobs)} {job.name}"
            )
            try:
                await self._do(job, place(job))
            except (CancelledError, UserMistake):
                raise
            except VidlinkError as error:
                self._progress.say(f"{COMMAND}: {job.name}: {error}")
                self.failed.append(job.name)
        self._progress.wipe()
        if self.failed and len(jobs) > 1:
            self._progress.say(
                f"{COMMAND}: {len(self.failed)} of {count(len(jobs), 'recording')} could not be "
                f"had: {', '.join(self.failed)}"
            )
        if self.failed or self.stale_count:
            return FAILED
        return WITH_GAPS if self.gap_count else WHOLE

    async def _do(self, job: Job, path: Path) -> None:
        if path.exists() and not self._is_forced:
            await self._have(job, path)
            return
        part = PartFile(path, job.wanted, self._progress.came)
        try:
            if part.offset:
                self._progress.had(part.offset)
                self._progress.say(f"{COMMAND}: {job.name}: going on at {size(part.offset)}")
            await fetch(self._history, part, self._clock, on_retry=self._retry)
            self._tell(await self._checked(part))
        except NotFound as error:
            raise NotFound(f"{error}{await self._gap_words(job)}") from None
        except (CancelledError, VidlinkError):
            if part.offset and not part.path.exists():
                self._progress.say(
                    f"{COMMAND}: {part.part_path} has {size(part.offset)}; "
                    "run the same command again to go on from there"
                )
            raise
        finally:
            part.close()

    async def _have(self, job: Job, path: Path) -> None:
        """Tell of a file that is there; a live session goes on, and what is late fills gaps."""
        one = job.wanted
        now_bytes = await self._history.recording_size(one.sentinel_id, one.session_id, one.clip)
        self._progress.had(job.about_bytes)
        self._progress.wipe()
        has_gaps = gaps_path(path).exists()
        state = "is there already, with gaps" if has_gaps else "is there already"
        if path.stat().st_size == now_bytes:
            self.gap_count += has_gaps
        else:
            self.stale_count += 1
            state += f", but what is recorded by now has another length: {size(now_bytes)}"
        self._put(f"{path}: {state} (--force fetches it again)")

    async def _checked(self, part: PartFile) -> Downloaded:
        try:
            found = await verify(self._history, part)
        except Damaged:
            part.forget()
            raise
        # Before the file has its name: one that has it is not looked at again.
        write_gaps(found, part)
        part.finish()
        return found

    async def _gap_words(self, job: Job) -> str:
        """The gap for which nothing of a time range can be shown, to follow an error; empty if
        it is another reason."""
        one = job.wanted
        record = await self._history.session(one.sentinel_id, one.session_id)
        gap = last_gap(record.gaps, one.clip.end_time_us)
        return "" if gap is None else f": {gap_words(gap)}"

    def _retry(self, error: VidlinkError, seconds: float) -> None:
        self._progress.say(f"{COMMAND}: {error}; trying again in {age(seconds)}")

    def _tell(self, found: Downloaded) -> None:
        self._progress.wipe()
        state = "whole"
        if not found.is_whole:
            lost = sum(last - first + 1 for first, last in found.undecodable)
            words = [count(len(found.gaps), "gap")] if found.gaps else []
            words += [f"{count(lost, 'segment')} that cannot be decoded"] if lost else []
            state = ", ".join(words)
            self.gap_count += 1
        self._put(f"{found.path}: {size(found.size_bytes)}, {state}")
        for gap in found.gaps:
            self._progress.say(f"    {gap_words(gap)}")


def last_gap(gaps: Iterable[Gap], end_time_us: int | None) -> Gap | None:
    """The last of `gaps` to begin before a time, by which nothing since can be shown."""
    begun = [
        (gap.start_time_us, number, gap)
        for number, gap in enumerate(gaps)
        if gap.start_time_us is not None
        and (end_time_us is None or gap.start_time_us < end_time_us)
    ]
    return max(begun)[2] if begun else None


def gaps_path(path: Path) -> Path:
    """Where it is told what is missing from the file at `path`."""
    return path.with_name(path.name + ".gaps.json")


def write_gaps(found: Downloaded, part: PartFile) -> None:
    """Tell in a file beside it what is missing; none is there if nothing is."""
    beside = gaps_path(found.path)
    try:
        if found.is_whole:
            beside.unlink(missing_ok=True)
            return
        value = {
            "sentinelId": part.wanted.sentinel_id,
            "sessionId": part.wanted.session_id,
            "first": found.first,
            "last": found.last,
            "gaps": [GAP.dump(gap) for gap in found.gaps],
            "undecodable": found.undecodable,
        }
        beside.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise UserMistake(f"cannot write {beside}: {error.strerror}") from None


def placing(output: str, jobs: list[Job], is_forced: bool) -> Callable[[Job], Path]:
    """Where each job's file goes; the folder is made.

    :raises UserMistake: if it cannot be made, the file named is there already, or one is named
        for many.
    """
    path = Path(output)
    if len(jobs) > 1 and path.suffix.lower() == ".mp4" and not path.is_dir():
        raise UserMistake(f"{path} is one file for {len(jobs)} recordings; name a folder")
    if len(jobs) == 1 and path.suffix and not path.is_dir():
        if path.exists() and not is_forced:
            raise UserMistake(f"{path} is there already; --force replaces it")
        _make(path.parent)
        return lambda job: path
    _make(path)
    return lambda job: path / job.name


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f"cannot make the folder {folder}: {error.strerror}") from None


def run(options: Options) -> int:
    """Fetch what is wanted; the exit status.

    :raises VidlinkError: if nothing of it can be had.
    """
    return run_with_history(options, partial(_export, options))


async def _export(options: Options, history: History, reactor: Any) -> int:
    jobs = await plan(history, options.wish())
    is_forced = bool(options["force"])
    output = Path(options["output"])
    new = [folder for folder in (output, output.parent) if not folder.exists()]
    place = placing(options["output"], jobs, is_forced)
    total_bytes = sum(job.about_bytes for job in jobs)
    progress = Progress(sys.stderr, reactor.seconds, total_bytes, sys.stderr.isatty())
    try:
        return await Export(history, reactor, progress, tell, is_forced).run(jobs, place)
    finally:
        for folder in new:
            # Unless something has come into it.
            with suppress(OSError):
                folder.rmdir()
