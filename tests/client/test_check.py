"""Whether a file is the recording it should be."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.client.recorded import DESK, GATE, RecordedCase
from tests.fakes import media
from vidlink.client.check import read_recording
from vidlink.errors import NotMedia
from vidlink.fmp4 import Caption, Label, SampleTable, write_movie
from vidlink.fmp4.layout import WHOLE

INIT = media.init_segment()
#: What stands before the frame in our own segments.
HEAD_BYTES = WHOLE.size


def film(sequences: list[int], *, off: str = "", segments: bytes | None = None) -> bytes:
    """A recording of these segments, its head wrong about one of the last frame's columns."""
    bodies = [media.segment(sequence) for sequence in sequences]
    places, sizes = array("Q"), array("I")
    end = 0
    for body in bodies:
        end += len(body)
        sizes.append(len(body) - HEAD_BYTES)
        places.append(end - sizes[-1])
    times = array("Q", (sequence * media.FRAME_TICKS for sequence in sequences))
    syncs = array("I", (n for n, one in enumerate(sequences) if media.is_keyframe(one)))
    table = SampleTable(places, sizes, times, array("i"), syncs, times[-1] + media.FRAME_TICKS)
    columns: dict[str, array[int]] = {"places": places, "sizes": sizes, "times": times}
    if off in columns:
        columns[off][-1] += 1
    elif off == "syncs":
        syncs.append(len(sequences) - 1)
    elif off == "shifts":
        table = replace(table, shifts=array("i", [0] * (len(sizes) - 1) + [5]))
    raw = b"".join(bodies) if segments is None else segments
    head = write_movie(
        INIT,
        table,
        media_bytes=len(raw),
        shown=(times[0], table.end),
        label=Label(media.EPOCH_US, ()),
        captions=[Caption(times[0], table.end, "something")],
    )
    return head + raw


class WalkTests(SynchronousTestCase):
    """Files, right and wrong."""

    def contents(self, data: bytes) -> list[int]:
        """The sequences in `data`."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        return list(read_recording(path, INIT).sequences)

    def complaint(self, data: bytes) -> str:
        """What is wrong with `data`."""
        return str(self.assertRaises(NotMedia, self.contents, data))

    def test_whole(self) -> None:
        """A whole recording is what it is, holes before keyframes included."""
        for sequences in ([0], [*range(25)], [*range(5), *range(10, 33)], [*range(20, 40)]):
            self.assertEqual(self.contents(film(sequences)), sequences)

    def test_cut_off(self) -> None:
        """Wherever it is cut off, it is found out."""
        whole = film([*range(12)])
        for size in range(0, len(whole), 7):
            self.assertRaises(NotMedia, self.contents, whole[:size])

    def test_order(self) -> None:
        """Segments out of order, twice, or that cannot be decoded where they stand."""
        for sequences in ([0, 2, 1], [0, 1, 1], [0, 1, 3], [1, 2]):
            self.complaint(film(sorted(sequences), segments=self.joined(sequences)))

    def test_head(self) -> None:
        """A head that does not fit the segments, in any of its columns."""
        for off in ("places", "sizes", "times", "syncs", "shifts"):
            self.assertIn("wrong about segment 11", self.complaint(film([*range(12)], off=off)))
        both = b"".join(media.segment(n) for n in (0, 1))
        self.assertIn("in no segment", self.complaint(film([0, 1, 2], segments=both)))
        self.complaint(film([0], segments=both))
        self.complaint(INIT + media.segment(0))

    def test_nothing_shown(self) -> None:
        """What has no pictures is the init alone."""
        self.assertEqual(self.contents(INIT), [])

    def test_no_film(self) -> None:
        """What is no film at all."""
        for data in (b"", b"<html>", b"\x00" * 100, media.segment(0)):
            self.complaint(data)

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_any_bytes(self, data: st.DataObject) -> None:
        """Whatever the bytes, it is a recording or an error of ours."""
        whole = bytearray(film([*range(12)]))
        place = data.draw(st.integers(0, len(whole) - 1))
        octets = data.draw(st.binary(max_size=8))
        whole[place : place + len(octets)] = octets
        try:
            self.contents(bytes(whole))
        except NotMedia:
            return

    def joined(self, sequences: list[int]) -> bytes:
        """Segments in a row."""
        return b"".join(media.segment(sequence) for sequence in sequences)


class ServedTests(RecordedCase):
    """What the server serves passes."""

    def test_served(self) -> None:
        """Whole or with a hole, the server's recordings are right."""
        path = self.folder / "x"
        path.write_bytes(self.film(DESK))
        self.assertEqual(list(read_recording(path, DESK.init).sequences), [*range(20)])
        path.write_bytes(self.film(GATE))
        # 9 builds on what is missing.
        self.assertEqual(
            list(read_recording(path, GATE.init).sequences), [*range(7), *range(10, 20)]
        )
