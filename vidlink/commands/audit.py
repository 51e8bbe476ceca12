"""``vidlink audit``: who did what, and whether that is all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from vidlink.audit.files import AuditFiles
from vidlink.client import History
from vidlink.disk import Disk
from vidlink.errors import StoreError, UserMistake
from vidlink.httpjson.objects import AUDIT_ENTRY
from vidlink.model import AuditEntry, AuditQuery, Deed
from vidlink.quantities import count
from vidlink.terminal.asking import RangeOptions
from vidlink.terminal.output import tell
from vidlink.terminal.running import asking, complain
from vidlink.terminal.table import Row, put_table
from vidlink.terminal.words import moment, shown

COMMAND = "vidlink audit"
HEAD = ("ENTRY", "WHEN", "WHO", "FROM", "DEED", "ABOUT")
MAX_ENTRIES = 1_000_000
SOUND, DAMAGED = 0, 1
_PAGE = 1_000
#: Of what an entry is about, those that are times.
_TIMES = ("since", "until", "start", "end")


class Options(RangeOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[options] | --verify [--data DATA]"
    longdesc = (
        "Lists what was done and by whom, newest first: who logged in, watched, fetched, deleted, "
        "held, controlled. With --verify it looks instead at every entry in the data folder, "
        "whether a server runs on it or not: the exit status is 1 if one was changed or is gone."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["user", "u", None, "Deeds of this user or token."],
        ["sentinel", None, None, "Deeds that were about this sentinel."],
        ["deed", None, None, f"One of: {', '.join(deed.value for deed in Deed)}."],
        ["limit", None, "100", "At most so many; 0: all."],
        ["data", "d", "vidlink-data", "The data folder of the server, for --verify."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["json", "j", "One JSON object a line, as the HTTP interface has them."],
        ["verify", None, "Look whether the trail in the data folder is whole."],
    ]

    def postOptions(self) -> None:
        """Check all of it."""
        self.check_names()
        self.read_range()
        self.number("limit", int, 0, MAX_ENTRIES)
        if self["deed"] is not None:
            self.word("deed", Deed)


async def list_all(options: Options, history: History, put: Callable[[str], None]) -> int:
    """Ask `history`, and `put` line after line."""
    limit = options["limit"] or MAX_ENTRIES
    query = AuditQuery(
        who=options["user"],
        sentinel_id=options["sentinel"],
        deed=options["deed"],
        from_time_us=options["from"],
        to_time_us=options["to"],
        limit=min(limit, _PAGE),
    )
    rows: list[Row] = []
    listed = 0
    async for entry in history.audit(query):
        if listed == limit:
            break
        listed += 1
        if options["json"]:
            put(json.dumps(AUDIT_ENTRY.dump(entry)))
        else:
            rows.append(_row(entry))
    if not options["json"]:
        put_table(put, HEAD, [(row, ()) for row in rows])
    return 0


def verify(data: str) -> int:
    """Look at every entry in a data folder; the exit status.

    :raises UserMistake: if it has no audit trail, or cannot be read.
    """
    files = AuditFiles(data, Disk())
    if not files.names():
        raise UserMistake(f"there is no audit trail in {data}; name the data folder of a server")
    try:
        first, last = files.verify()
    except StoreError as error:
        complain(COMMAND, f"{error}")
        return DAMAGED
    except OSError as error:
        raise UserMistake(f"the audit trail in {data} cannot be read: {error}") from None
    gone = f", which begins behind entry {first - 1}" if first > 1 else ""
    tell(f"whole: {count(last - first + 1, 'entry', 'entries')} up to {last}{gone}")
    return SOUND


def _row(entry: AuditEntry) -> Row:
    about = (
        f"{name} {moment(value) if name in _TIMES and isinstance(value, int) else value}"
        for name, value in entry.about.items()
    )
    return (
        str(entry.number),
        moment(entry.time_us),
        shown(entry.who),
        shown(entry.address),
        entry.deed.value,
        shown(", ".join(about)),
    )


_ask = asking(list_all)


def run(options: Any) -> int:
    """Do what is asked; the exit status."""
    if options["verify"]:
        return verify(options["data"])
    return _ask(options)
