"""``vidlink delete``: delete recordings for good, after asking."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from vidlink.client import History
from vidlink.errors import (
    Answered,
    NotFound,
    SessionHeld,
    SessionLive,
    Unreachable,
    UserMistake,
    VidlinkError,
)
from vidlink.model import Receipt, SessionQuery, SessionRecord, SessionState
from vidlink.quantities import count, size
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.running import asking, complain
from vidlink.terminal.words import begun_us, moment, read_moment

COMMAND = "vidlink delete"
_PAGE = 1_000


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "SENTINEL [SESSION] [options]"
    longdesc = (
        "Deletes a session of a sentinel, or all of its sessions that ended before a time. "
        "There is no way back, so it takes an administrator's credential."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["before", None, None, "All sessions that ended before this time."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["dry-run", "n", "Only tell what would be deleted."],
        ["yes", "y", "Do not ask."],
    ]

    def parseArgs(self, sentinel: str = "", session: str | None = None) -> None:
        """A sentinel, and maybe one of its sessions."""
        self["sentinel"], self["session"] = sentinel, session

    def postOptions(self) -> None:
        """Either a session or a time."""
        self.check_names()
        if self["before"] is not None:
            self["before"] = read_moment(self["before"], "--before")
        if (self["session"] is None) == (self["before"] is None):
            raise UserMistake("name a session, or give --before a time")


async def delete_all(
    options: Options,
    history: History,
    put: Callable[[str], None],
    agrees: Callable[[str], bool],
) -> int:
    """Delete what `options` name, if `agrees` says so; `put` a line for each that is gone."""
    found = await _wanted(options, history)
    if not found:
        put("nothing ended before that time")
        return 0
    rehearse = bool(options["dry-run"])
    if not rehearse and not options["yes"]:
        total = size(sum(record.size_bytes for record in found))
        which = count(len(found), "session")
        if options["before"] is not None:
            which += f" of before {moment(options['before'])}"
        if not agrees(f"delete {which}, {total}, for good?"):
            return 1
    status = 0
    for record in found:
        session_id = record.session.session_id
        try:
            receipt = await history.delete(options["sentinel"], session_id, rehearse=rehearse)
        except (SessionHeld, SessionLive, NotFound) as error:
            complain(COMMAND, f"{session_id}: {error}")
            status = 1
        except Answered as error:
            raise UserMistake(str(error)) from None
        except Unreachable as error:
            if rehearse:
                raise
            complain(COMMAND, f"{session_id}: {error}; {await _outlook(record, history)}")
            status = 1
        else:
            put(receipt_line(receipt))
    return status


async def _outlook(record: SessionRecord, history: History) -> str:
    """The fate of a session whose deletion was not answered; a large one takes its time."""
    session = record.session
    try:
        await history.session(session.sentinel_id, session.session_id)
    except NotFound:
        return "it is being deleted all the same; 'vidlink receipts' will list it"
    except VidlinkError:
        return "whether it is deleted is not known; 'vidlink receipts' will list it if it is"
    return "it is still there, and may be deleted yet; 'vidlink receipts' will list it if it is"


async def _wanted(options: Options, history: History) -> list[SessionRecord]:
    if options["session"] is not None:
        return [await history.session(options["sentinel"], options["session"])]
    query = SessionQuery(sentinel_id=options["sentinel"], to_time_us=options["before"], limit=_PAGE)
    found = [record async for record in history.sessions(query)]
    # The oldest first: should it be broken off, it is they that are gone.
    return [record for record in reversed(found) if _is_over(record, options["before"])]


def _is_over(record: SessionRecord, before_us: int) -> bool:
    # What ended under a clock that was wrong is as old as the server says, not as its end does.
    age_us = record.ended_time_us if record.age_from_us is None else record.age_from_us
    return record.state is not SessionState.LIVE and age_us is not None and age_us < before_us


def receipt_line(receipt: Receipt) -> str:
    """A receipt, or a rehearsal, on one line."""
    what = "would delete" if receipt.number is None else f"receipt {receipt.number}: deleted"
    return (
        f"{what} {receipt.session_id} of {receipt.sentinel_id}, {moment(begun_us(receipt))}, "
        f"{count(receipt.segment_count, 'segment')}, {size(receipt.size_bytes)}"
    )


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UserMistake("nobody can be asked here; give --yes if this is meant")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


run = asking(partial(delete_all, agrees=_agrees))
