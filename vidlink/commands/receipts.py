"""``vidlink receipts``: what was deleted, when, why and by whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from vidlink.client import History
from vidlink.commands.retention import REASONS
from vidlink.httpjson.objects import RECEIPT
from vidlink.model import Receipt
from vidlink.quantities import size
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.running import asking
from vidlink.terminal.table import Row, put_table
from vidlink.terminal.words import begun_us, moment, shown

COMMAND = "vidlink receipts"
HEAD = ("RECEIPT", "DELETED", "SENTINEL", "SESSION", "BEGAN", "SEGMENTS", "SIZE", "WHY", "BY")
MAX_RECEIPTS = 1_000_000


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[SENTINEL] [options]"
    longdesc = "Lists what was deleted, newest first."
    optParameters: ClassVar[list[list[str | None]]] = [
        ["limit", None, "100", "At most so many; 0: all."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["json", "j", "One JSON object a line, as the HTTP interface has them."],
    ]

    def parseArgs(self, sentinel: str | None = None) -> None:
        """A sentinel, whose receipts alone are listed then."""
        self["sentinel"] = sentinel

    def postOptions(self) -> None:
        """Check all of it."""
        self.check_names()
        self.number("limit", int, 0, MAX_RECEIPTS)


async def list_all(options: Options, history: History, put: Callable[[str], None]) -> int:
    """Ask `history`, and `put` line after line."""
    limit = options["limit"] or MAX_RECEIPTS
    rows: list[Row] = []
    listed = 0
    async for receipt in history.receipts():
        if options["sentinel"] not in (None, receipt.sentinel_id):
            continue
        if listed == limit:
            break
        listed += 1
        if options["json"]:
            put(json.dumps(RECEIPT.dump(receipt)))
        else:
            rows.append(_row(receipt))
    if not options["json"]:
        put_table(put, HEAD, [(row, ()) for row in rows])
    return 0


def _row(receipt: Receipt) -> Row:
    return (
        str(receipt.number),
        moment(receipt.deleted_time_us),
        receipt.sentinel_id,
        receipt.session_id,
        moment(begun_us(receipt)),
        f"{receipt.segment_count:,}",
        size(receipt.size_bytes),
        REASONS[receipt.reason],
        shown(receipt.by),
    )


run = asking(list_all)
