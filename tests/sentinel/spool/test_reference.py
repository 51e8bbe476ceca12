"""The page about the spool's folder, held against what is written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.sentinel.spool.rig import Rig, a_segment
from vidlink.model import MAX_RANGES, DroppedRange, Segment
from vidlink.sentinel.spool import opening, spool, writer
from vidlink.sentinel.spool.folder import MARKER
from vidlink.sentinel.spool.layout import (
    ENTRY_BYTES,
    PLACE,
    TRAILER,
    EntryKind,
    EntryPlace,
    SavedState,
    pack_index,
    pack_init,
    pack_segment,
    pack_state,
)
from vidlink.sentinel.spool.ranges import DAMAGED, FULL

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "spool.md").read_text("utf-8")
STATE = SavedState(
    session_id="Wj3_qT-8mZ0aLeR4",
    begun=3,
    is_corrected=True,
    offset_us=-3_600_000_000,
    first_chunk=2,
    newest=1_799,
    acknowledged=899,
    dropped=(DroppedRange(900, 949, FULL),),
)
SEGMENT = Segment("desk-12", STATE.session_id, 950, 1_704_067_390_000_000, 200, 5_000, True, b"")


def example(title: str) -> str:
    """The text of the example behind the words `title`."""
    found = re.search(re.escape(title) + r".*?```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, title
    return found[1]


def bytes_of(title: str) -> bytes:
    """The octets of an example in hexadecimal."""
    return bytes.fromhex("".join(example(title).split()))


def fields(title: str) -> list[int]:
    """The sizes in the table in the section `title`; they lie side by side."""
    section = PAGE[PAGE.index(f"## {title}") :].partition("\n## ")[0]
    rows = re.findall(r"^\| ([0-9]+) \| ([0-9]+) \|", section, re.MULTILINE)
    place = 0
    for offset, size in rows:
        assert int(offset) == place, (title, offset)
        place += int(size)
    return [int(size) for _, size in rows]


class ReferenceTests(SynchronousTestCase):
    """Examples, tables and bounds."""

    def test_entries(self) -> None:
        """Each kind of entry on the page is the one that is written."""
        self.assertEqual(pack_init(bytes(755))[:ENTRY_BYTES], bytes_of("an initialization segment"))
        self.assertEqual(pack_state(STATE)[:ENTRY_BYTES], bytes_of("The head of this one"))
        data = media.segment(950)
        self.assertEqual(pack_segment(replace(SEGMENT, data=data)), bytes_of("A keyframe segment"))
        places = [EntryPlace(950, 1_006, len(data), True), EntryPlace(951, 1_213, 160, False)]
        self.assertEqual(
            pack_index(places, len(pack_state(STATE))), bytes_of("An index of two segments")
        )

    def test_state(self) -> None:
        """The state on the page is the one that is written, but for white space."""
        payload = pack_state(STATE)[ENTRY_BYTES:]
        self.assertEqual(json.loads(example("A state")), json.loads(payload))

    def test_fields(self) -> None:
        """The fields fill an entry's head, and a record of the index."""
        self.assertEqual(sum(fields("Entries")), ENTRY_BYTES)
        self.assertEqual(sum(fields("The index")), PLACE.size)
        self.assertEqual(TRAILER.size, 8)

    def test_kinds(self) -> None:
        """Every kind of entry, and every cause, is named."""
        for kind in EntryKind:
            self.assertIn(f"| {kind.value} | {kind.name.lower()} |", PAGE)
        for cause in (FULL, DAMAGED):
            self.assertIn(f"| `{cause}` |", PAGE)

    def test_folder(self) -> None:
        """The files on the page are those that are made."""
        rig = Rig(self.mktemp())
        rig.spool.begin(STATE.session_id, media.init_segment(), True)
        rig.spool.append(a_segment(0, STATE.session_id))
        rig.settle()
        rig.kill()
        root = Path(rig.folder)
        made = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        self.assertEqual(
            made,
            [
                f"sentinels/desk-12/{STATE.session_id}/00000000.chunk",
                "sentinels/desk-12/lock",
                MARKER,
            ],
        )
        for path in made:
            for name in path.split("/"):
                self.assertIn(f"{name}", example("file by file"))

    def test_bounds(self) -> None:
        """Every bound on the page is the one in the code."""
        mebibytes = 1024 * 1024
        for text in (
            f"every {writer.SYNC_SECONDS} s",
            f"after {writer.RETRY_SECONDS:g} s",
            f"{opening.MOST_BYTES // 1024 // mebibytes} GiB",
            f"{opening.MEMORY_BYTES // mebibytes} MiB",
            f"{opening.CHUNK_BYTES // mebibytes} MiB",
            f"{opening.LEAST_CHUNK_BYTES // 1024} KiB",
            f"{opening.KEEP_FREE_BYTES // 1024 // mebibytes} GiB",
            f"{spool.MAX_SESSIONS:,} sessions",
            f"{MAX_RANGES:,} ranges",
            f"{writer.OPEN_CHUNKS} chunks",
        ):
            self.assertIn(text, PAGE)
