"""``vidlink retention``: what is kept and for how long, and what would go now."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from vidlink.client import History
from vidlink.httpjson.objects import DUE
from vidlink.model import DeletionReason, Retention
from vidlink.quantities import bounds, count, size, waiting_words
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.running import asking
from vidlink.terminal.table import put_table
from vidlink.terminal.words import moment

COMMAND = "vidlink retention"
HEAD = ("SENTINEL", "SESSION", "ENDED", "SIZE", "WHY")
REASONS = {
    DeletionReason.AGE: "too old",
    DeletionReason.BYTES: "too much",
    DeletionReason.SPACE: "no room",
    DeletionReason.ASKED: "asked for",
}


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    longdesc = (
        "Shows what the server keeps and for how long, and which sessions it would delete now, "
        "in that order."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["limit", None, "100", "Name at most so many."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["json", "j", "One JSON object a line for each that would go."],
    ]

    def postOptions(self) -> None:
        """Check the limit."""
        self.number("limit", int, 1, 1_000)


async def show(options: Options, history: History, put: Callable[[str], None]) -> int:
    """Ask `history`, and `put` line after line."""
    found = await history.retention(options["limit"])
    if options["json"]:
        for one in found.due:
            put(json.dumps(DUE.dump(one)))
        return 0
    for line in policy_lines(found):
        put(line)
    if not found.due:
        put("nothing would be deleted now")
        return 0
    rows = [
        (
            one.candidate.sentinel_id,
            one.candidate.session_id,
            moment(one.candidate.ended_time_us),
            size(one.candidate.size_bytes),
            REASONS[one.reason],
        )
        for one in found.due
    ]
    put_table(put, HEAD, [(row, ()) for row in rows])
    if found.is_more:
        put(f"and more: these are the first {len(rows)}")
    return 0


def policy_lines(found: Retention) -> list[str]:
    """The policy, what there is, and what waits, in sentences."""
    policy, totals = found.policy, found.totals
    held = f", {totals.held_sessions:,} of them held" if totals.held_sessions else ""
    return [
        f"recordings are kept {bounds(policy)}",
        f"there are {count(totals.sessions, 'session')}{held}, {size(totals.bytes)}; "
        f"the disk has {size(found.free_bytes)} left",
        *(waiting_words(one) for one in found.waiting),
    ]


run = asking(show)
