"""``vidlink ls``: which Sentinels there are and how they do, and what was recorded of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from vidlink.client import History
from vidlink.errors import NotFound, UserMistake
from vidlink.httpjson.objects import SENTINEL, SESSION
from vidlink.model import (
    RecordingState,
    SentinelState,
    SentinelStatus,
    SessionQuery,
    SessionRecord,
    SessionState,
)
from vidlink.quantities import length, size
from vidlink.terminal.asking import RangeOptions
from vidlink.terminal.running import asking
from vidlink.terminal.table import Row, put_table
from vidlink.terminal.words import age, begun_us, gap_lines, missing_words, moment, rate, shown

COMMAND = "vidlink ls"
MAX_SESSIONS = 1_000_000
_PAGE = 1_000
RECORDING = {
    RecordingState.OK: "on",
    RecordingState.TROUBLE: "TROUBLE",
    RecordingState.NONE: "off",
}
STATES = {
    SessionState.LIVE: "live",
    SessionState.ENDED: "ended",
    SessionState.SEALED: "complete",
}
SENTINEL_HEAD = ("SENTINEL", "NAME", "GROUP", "STATE", "RATE", "LAST PICTURE", "RECORDING")
SESSION_HEAD = ("SENTINEL", "SESSION", "STATE", "BEGAN", "LENGTH", "SEGMENTS", "SIZE", "MISSING")


class Options(RangeOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[SENTINEL] [options]"
    longdesc = (
        "Lists the sentinels of a server; with SENTINEL, --sessions, --from or --to, the "
        "sessions that were recorded, newest first, and what is missing from them."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["sentinel", None, None, "Only this sentinel."],
        ["group", "g", None, "Only of this group."],
        ["limit", None, "100", "At most so many sessions; 0: all."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["sessions", None, "List sessions, not sentinels."],
        ["json", "j", "One JSON object a line, as the HTTP interface has them."],
    ]

    def parseArgs(self, sentinel: str | None = None) -> None:
        """A sentinel, whose sessions are listed then."""
        if sentinel is not None:
            if self["sentinel"] not in (None, sentinel):
                raise UserMistake("two sentinels are named; one is possible")
            self["sentinel"] = sentinel
            self["sessions"] = 1

    def postOptions(self) -> None:
        """Check all of it."""
        self.check_names()
        self.read_range()
        self.number("limit", int, 0, MAX_SESSIONS)
        if self["from"] is not None or self["to"] is not None:
            self["sessions"] = 1


async def list_all(options: Options, history: History, put: Callable[[str], None]) -> int:
    """Ask `history`, and `put` line after line."""
    # The server's time, because ages are against it: this machine's clock may be wrong.
    now_us = (await history.me()).server_time_us
    sentinels = [
        one
        for one in await history.sentinels()
        if options["sentinel"] in (None, one.sentinel_id)
        and (options["sessions"] or options["group"] in (None, one.group))
    ]
    if options["sentinel"] is not None and not sentinels:
        raise NotFound(f"the server knows no sentinel {options['sentinel']}")
    if options["sessions"]:
        await _list_sessions(options, history, put, now_us)
    elif options["json"]:
        for status in sentinels:
            put(json.dumps(SENTINEL.dump(status)))
    else:
        put_table(put, SENTINEL_HEAD, [(sentinel_row(one, now_us), ()) for one in sentinels])
    return 0


async def _list_sessions(
    options: Options, history: History, put: Callable[[str], None], now_us: int
) -> None:
    limit = options["limit"] or MAX_SESSIONS
    query = SessionQuery(
        sentinel_id=options["sentinel"],
        group=options["group"],
        from_time_us=options["from"],
        to_time_us=options["to"],
        limit=min(limit, _PAGE),
    )
    page = await history.session_page(query)
    rows: list[tuple[Row, Sequence[str]]] = []
    listed = 0
    while True:
        for record in page.sessions[: limit - listed]:
            ids = record.session.sentinel_id, record.session.session_id
            whole = await history.session(*ids)
            if options["json"]:
                put(json.dumps(SESSION.dump(whole)))
            else:
                rows.append((session_row(whole, now_us), remarks(whole)))
            listed += 1
        if listed >= limit or page.next is None:
            break
        page = await history.session_page(replace(query, after=page.next))
    if not options["json"]:
        put_table(put, SESSION_HEAD, rows)
    if listed >= limit and page.next is not None:
        print(f"{COMMAND}: the newest {listed}; for more, --limit", file=sys.stderr)


def remarks(record: SessionRecord) -> list[str]:
    """The lines below a session: that it is held, and what is missing."""
    hold = record.hold
    held = [] if hold is None else [f"HELD since {moment(hold.time_us)}: {shown(hold.reason)}"]
    return [*held, *gap_lines(record.gaps)]


def sentinel_row(status: SentinelStatus, now_us: int) -> Row:
    """One line of the list of Sentinels."""
    last = status.last_segment_time_us
    return (
        status.sentinel_id,
        shown(status.name),
        shown(status.group),
        status.state.value if status.state is SentinelState.LIVE else status.state.value.upper(),
        rate(status.framerate_mhz),
        "never" if last is None else f"{age((now_us - last) / 1e6)} ago",
        RECORDING[status.recording],
    )


def session_row(record: SessionRecord, now_us: int) -> Row:
    """One line of the list of sessions."""
    begun = begun_us(record)
    over = record.end_time_us
    return (
        record.session.sentinel_id,
        record.session.session_id,
        STATES[record.state],
        moment(begun),
        "-" if over is None else length((over - begun) / 1e6),
        f"{record.segment_count:,}",
        size(record.size_bytes),
        missing_words(record.gaps),
    )


run = asking(list_all)
