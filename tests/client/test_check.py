"""Whether a file is the recording it should be."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.client.recorded import DESK, GATE, RecordedCase
from tests.fakes import media
from vidlink.client.check import read_recording
from vidlink.errors import NotMedia
from vidlink.fmp4 import build_sidx

#: What stands before `moof` in our own segments.
PRFT_BYTES = 32


def film(
    sequences: list[int],
    *,
    size_off: int = 0,
    time_off: int = 0,
    lead: int = 0,
    segments: bytes | None = None,
) -> bytes:
    """A recording of these segments, its index wrong by so much."""
    bodies = [media.segment(sequence) for sequence in sequences]
    keys = [place for place, n in enumerate(sequences) if media.is_keyframe(n)] or [0]
    references = []
    for place, key in enumerate(keys):
        stop = keys[place + 1] if place + 1 < len(keys) else len(bodies)
        size = sum(map(len, bodies[key:stop])) + size_off
        following = sequences[stop] if stop < len(sequences) else sequences[-1] + 1
        ticks = (following - sequences[key]) * media.FRAME_TICKS + time_off
        references.append((size, ticks, True))
    index = build_sidx(
        track_id=1,
        timescale=media.TIMESCALE,
        earliest=sequences[0] * media.FRAME_TICKS,
        references=references,
    )
    if lead:
        index = led(index, lead)
    return media.init_segment() + index + (b"".join(bodies) if segments is None else segments)


def led(index: bytes, lead: int) -> bytes:
    """`index`, pointing so many bytes further into each segment."""
    box = bytearray(index)
    box[28:36] = lead.to_bytes(8, "big")
    box[-12:-8] = (int.from_bytes(box[-12:-8], "big") - lead).to_bytes(4, "big")
    return bytes(box)


class WalkTests(SynchronousTestCase):
    """Files, right and wrong."""

    def contents(self, data: bytes) -> list[int]:
        """The sequences in `data`."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        return list(read_recording(path).sequences)

    def complaint(self, data: bytes) -> str:
        """What is wrong with `data`."""
        return str(self.assertRaises(NotMedia, self.contents, data))

    def test_whole(self) -> None:
        """A whole recording is what it is, holes before keyframes included."""
        for sequences in ([0], [*range(25)], [*range(5), *range(10, 33)], [*range(20, 40)]):
            self.assertEqual(self.contents(film(sequences)), sequences)

    def test_index_of_moofs(self) -> None:
        """The index may point to segments, or to their `moof`, and nowhere else."""
        sequences = [*range(25)]
        self.assertEqual(self.contents(film(sequences, lead=PRFT_BYTES)), sequences)
        self.assertIn("no segment begins", self.complaint(film(sequences, lead=PRFT_BYTES - 1)))

    def test_cut_off(self) -> None:
        """Wherever it is cut off, it is found out."""
        whole = film([*range(12)])
        for size in range(0, len(whole), 7):
            self.assertRaises(NotMedia, self.contents, whole[:size])

    def test_order(self) -> None:
        """Segments out of order, twice, or that cannot be decoded where they stand."""
        for sequences in ([0, 2, 1], [0, 1, 1], [0, 1, 3], [1, 2]):
            self.complaint(film(sorted(set(sequences)) or [0], segments=self.joined(sequences)))
            self.complaint(film(sequences))

    def test_index(self) -> None:
        """An index that does not fit the segments."""
        self.assertIn("covers", self.complaint(film([*range(12)], size_off=1)))
        self.assertIn("index", self.complaint(film([*range(22)], time_off=1)))
        init = media.init_segment()
        self.assertIn("no index", self.complaint(init + media.segment(0)))

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
        self.assertEqual(list(read_recording(path).sequences), [*range(20)])
        path.write_bytes(self.film(GATE))
        # 9 builds on what is missing.
        self.assertEqual(list(read_recording(path).sequences), [*range(7), *range(10, 20)])
