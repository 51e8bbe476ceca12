"""The page about the data folder, held against what is written."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from twisted.trial.unittest import SynchronousTestCase

from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.access.credentials import FILE, Credentials
from vidlink.commands.fsck import CANNOT, DAMAGED, INTERRUPTED, SOUND
from vidlink.disk import Disk
from vidlink.interfaces import LATE_LOAD
from vidlink.model import Cause, Gap, Hold, Seen
from vidlink.store.deleting import reserve
from vidlink.store.deleting.remover import LOOK_SECONDS, MOST_AT_ONCE
from vidlink.store.deleting.remover import ROUND_SECONDS as REMOVER_SECONDS
from vidlink.store.deleting.reserve import RESERVE_BYTES
from vidlink.store.deleting.trash import SLICE_BYTES
from vidlink.store.files.durability import MOST_SYNCS
from vidlink.store.files.layout import (
    RECORD_BYTES,
    describe,
    pack_record,
    read_session,
    write_session,
)
from vidlink.store.files.notes import write_seen
from vidlink.store.files.pieces import PIECE_BYTES
from vidlink.store.files.receipts import read_receipt, write_receipt
from vidlink.store.fsck.findings import NOTES, FindingKind
from vidlink.store.index.schema import SCHEMA_FORMAT
from vidlink.store.sequences.gaps import MOST_GAPS
from vidlink.store.starting.salvage import MOST_TAIL_BYTES
from vidlink.store.store import INDEX_BYTES, OPEN_PARTS, QUEUE_BYTES, QUEUE_SEGMENTS
from vidlink.store.writing.parts import MOST_PARTS
from vidlink.store.writing.rows import PROGRESS_SECONDS
from vidlink.store.writing.writer import (
    DUE_PART,
    MOST_REOPENED,
    MOST_REOPENED_RUNS,
    RETRY_SECONDS,
    ROUND_BYTES,
    ROUND_SECONDS,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "store.md").read_text("utf-8")
INIT = bytes(755)


def example(kind: str, number: int = 0) -> str:
    """The text of the example `number` of this kind."""
    texts: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return texts[number]


class ReferenceTests(SynchronousTestCase):
    """Examples, tables and bounds."""

    def test_record(self) -> None:
        """The record on the page is the one that is written."""
        arrival = an_arrival(a_session(), 0, frame=bytes(48))
        self.assertEqual(len(arrival.segment.data), 156)
        record = pack_record(arrival, len(INIT), crc32(arrival.segment.data))
        self.assertEqual(record.hex(" "), " ".join(example("text", 1).split()))

    def test_fields(self) -> None:
        """The fields of a record lie side by side and fill 64 octets."""
        section = PAGE[PAGE.index("## Records") : PAGE.index("## session.json")]
        rows = re.findall(r"^\| ([0-9]+) \| ([0-9]+) \|", section, re.MULTILINE)
        place = 0
        for offset, size in rows:
            self.assertEqual(int(offset), place)
            place += int(size)
        self.assertEqual(place, 64)

    def test_session_file(self) -> None:
        """The file on the page is the one that is written."""
        session = replace(
            a_session(init=INIT),
            sentinel_id="desk-12",
            session_id="Wj3_qT-8mZ0aLeR4",
            name="Desk 12",
            group="Room A",
            software="vidlink/0.1.0",
            width=1920,
            height=1080,
        )
        file = replace(
            describe(session),
            ended_time_us=EPOCH_US + 3_600_000_000,
            end_reason="disconnected",
            gaps=(Gap(120, 124, Cause.DECLARED, detail="the spool was full"),),
        )
        # Long copies are shortened on the page.
        text = re.sub(r'("init": "A{32})[A=]+', r"\1...", write_session(file).decode("ascii"))
        self.assertEqual(text, example("json", 1))

    def test_after_the_end(self) -> None:
        """What else stands in the file, when a session is being filled or is sealed, is on the
        page."""
        ended = replace(describe(a_session()), ended_time_us=EPOCH_US, end_reason="over")
        plain = json.loads(write_session(ended))
        filling = json.loads(write_session(replace(ended, filling_from=1)))
        checks = {plain.pop("crc32"), filling.pop("crc32")}
        self.assertEqual(filling, plain | {"filling_from": 1})
        self.assertIn("`filling_from` beside `ended`", PAGE)
        sealed = json.loads(write_session(replace(ended, is_sealed=True)))
        checks.add(sealed.pop("crc32"))
        self.assertEqual(sealed, plain | {"sealed": True})
        self.assertEqual(len(checks), 3)
        self.assertIn('`"sealed": true`', PAGE)
        for file in (ended, replace(ended, filling_from=1), replace(ended, is_sealed=True)):
            self.assertEqual(read_session(write_session(file)), file)

    def test_receipt(self) -> None:
        """The receipt on the page is one that is written, and `hold` is written as it says."""
        line = example("json", 3).encode("ascii")
        self.assertEqual(write_receipt(read_receipt(line)), line)
        file = replace(describe(a_session()), hold=Hold("an appeal", EPOCH_US + 3_600_000_000))
        hold = json.loads(write_session(file))["hold"]
        self.assertIn(f'"hold": {json.dumps(hold)}', PAGE)
        self.assertEqual(read_session(write_session(file)), file)

    def test_clock(self) -> None:
        """The time that is kept is written as on the page."""
        path = self.mktemp()
        seen = Seen(1704070800000000, 1704070800000000, 1704153600000000, 3000000000)
        write_seen(path, seen, Disk())
        with open(path) as kept:
            self.assertEqual(kept.read(), example("json", 2))

    def test_retention(self) -> None:
        """What the page says of deleting is what is done."""
        page = " ".join(PAGE.split())
        for text in (
            f"of {MOST_AT_ONCE} sessions at once by the policy",
            f"cut by {SLICE_BYTES // 2**20} MiB at a time",
            f"a file of {RESERVE_BYTES // 2**20} MiB, is cut by {reserve.SLICE_BYTES // 1024} KiB",
            f"the format ({SCHEMA_FORMAT})",
            f"and {RECORD_BYTES} octets for the record",
        ):
            self.assertIn(text, page)
        self.assertEqual((REMOVER_SECONDS, LOOK_SECONDS), (60.0, 1.0))

    def test_marker(self) -> None:
        """The marker on the page has the shape of the one that is written."""
        rig = Rig(self.mktemp())
        self.addCleanup(rig.close)
        with open(f"{rig.path}/vidlink-data.json") as marker:
            text = marker.read()
        known = json.loads(example("json"))
        self.assertEqual(text, example("json").replace(known["uuid"], json.loads(text)["uuid"]))

    def test_causes(self) -> None:
        """Every cause is explained, and no other."""
        section = PAGE[PAGE.index("| cause |") : PAGE.index("A hole in the sequences")]
        named = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
        self.assertEqual(sorted(named), sorted(cause.value for cause in Cause))

    def test_findings(self) -> None:
        """Every finding of a check is explained, no other, and which are no damage."""
        section = PAGE[PAGE.index("| finding |") : PAGE.index("- **A repair**")]
        rows = re.findall(r"^\| `([a-z-]+)` \| (\(no damage\))?", section, re.MULTILINE)
        self.assertEqual(
            sorted(name for name, _ in rows), sorted(kind.value for kind in FindingKind)
        )
        notes = {name for name, is_note in rows if is_note}
        self.assertEqual(notes, {kind.value for kind in NOTES})

    def test_exit_statuses(self) -> None:
        """How a check ends is on the page."""
        section = PAGE[PAGE.index("| exit status |") : PAGE.index("How fast it is")]
        rows = re.findall(r"^\| ([0-9]+) \| ([a-z ]+)", section, re.MULTILINE)
        told = {int(number): text for number, text in rows}
        self.assertEqual(sorted(told), [SOUND, DAMAGED, CANNOT, INTERRUPTED])
        for number, word in ((SOUND, "sound"), (DAMAGED, "damage"), (CANNOT, "not be checked")):
            self.assertIn(word, told[number])

    def test_tables(self) -> None:
        """Every table of the database is named, and no other."""
        rig = Rig(self.mktemp())
        self.addCleanup(rig.close)
        connection = sqlite3.connect(f"{rig.path}/index.sqlite3")
        self.addCleanup(connection.close)
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        section = PAGE[PAGE.index("## index.sqlite3") : PAGE.index("The row of a session")]
        named = re.findall(r"^\| `([a-z]+)` \|", section, re.MULTILINE)
        self.assertEqual(sorted(named), sorted(name for (name,) in rows))

    def test_columns_of_credentials(self) -> None:
        """Every table and column of the credentials is named, and no other."""
        folder = self.mktemp()
        credentials = Credentials(folder)
        self.addCleanup(credentials.close)
        credentials.remove_token("none")
        connection = sqlite3.connect(f"{folder}/{FILE}")
        self.addCleanup(connection.close)
        columns = connection.execute(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c "
            "WHERE t.type = 'table'"
        )
        section = PAGE[PAGE.index("## access.sqlite3") : PAGE.index("## index.sqlite3")]
        rows = re.findall(r"^\| `([a-z]+)` \| [a-z]+ \|(.*)\|$", section, re.MULTILINE)
        named = {(table, one) for table, text in rows for one in re.findall("`([a-z_]+)`", text)}
        self.assertEqual(named, set(columns))

    def test_bounds(self) -> None:
        """The numbers on the page are those of the code."""
        mebi = 1024 * 1024
        for text in (
            f"within {ROUND_SECONDS:.0f} s is one round",
            f"an eighth of `--queue-bytes` waits ({QUEUE_BYTES // DUE_PART // mebi} MiB)",
            f"by up to {MOST_SYNCS + 1} threads at a time",
            f"At most {ROUND_BYTES // mebi} MiB are\nwritten in one",
            f"({QUEUE_BYTES // mebi} MiB) or {QUEUE_SEGMENTS:,} segments",
            f"at most {OPEN_PARTS:,} parts",
            f"{INDEX_BYTES // mebi} MiB, and the film",
            f"at most {MOST_TAIL_BYTES // mebi} MiB of a part",
            f"at most {MOST_REOPENED} of them",
            f"once they have {MOST_REOPENED_RUNS:,} runs",
            f"session {MOST_GAPS:,} statements are kept",
            f"A session that has {MOST_PARTS:,}\nparts",
            f"At most {PIECE_BYTES // mebi} MiB of a part are in memory",
            f"up to {LATE_LOAD:.0%} of it".replace("%", " %"),
        ):
            self.assertIn(text, PAGE)
        self.assertEqual((RETRY_SECONDS, PROGRESS_SECONDS), (1.0, 1.0))
