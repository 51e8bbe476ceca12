"""The segment index."""

from __future__ import annotations

import io
import struct

import av
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import TIMESCALE, annexb_to_avc, decoded, encoded, sidx_size
from vidlink.errors import NotMedia
from vidlink.fmp4 import (
    MAX_REFERENCE_BYTES,
    MAX_REFERENCE_DURATION,
    SegmentIndex,
    build_sidx,
    read_sidx,
    write_fragment,
)

REFERENCES = st.lists(
    st.tuples(
        st.integers(0, MAX_REFERENCE_BYTES), st.integers(0, MAX_REFERENCE_DURATION), st.booleans()
    ),
    max_size=20,
)


def read(box: bytes) -> tuple[tuple[int, ...], list[tuple[int, int, int]]]:
    """Head and entries of a `sidx`."""
    head = struct.unpack_from(">I4sIIIQQHH", box)
    assert head[0] == len(box)
    assert head[1] == b"sidx"
    return head[2:], [struct.unpack_from(">III", box, 40 + 12 * i) for i in range(head[-1])]


class SidxTests(SynchronousTestCase):
    """One box, from references."""

    @given(REFERENCES, st.integers(0, 2**64 - 1), st.sampled_from([0, 32, 2**64 - 1]))
    def test_round_trip(
        self, references: list[tuple[int, int, bool]], earliest: int, offset: int
    ) -> None:
        """Every reference is an entry with its size, its duration and its access point."""
        box = build_sidx(
            track_id=3,
            timescale=90_000,
            earliest=earliest,
            references=references,
            first_offset=offset,
        )
        head, entries = read(box)
        self.assertEqual(len(box), sidx_size(len(references)))
        self.assertEqual(head, (0x0100_0000, 3, 90_000, earliest, offset, 0, len(references)))
        self.assertEqual(
            entries, [(size, time, 0x9000_0000 if sap else 0) for size, time, sap in references]
        )

    @given(REFERENCES, st.integers(0, 2**64 - 1))
    def test_read(self, references: list[tuple[int, int, bool]], earliest: int) -> None:
        """What was built is read again."""
        box = build_sidx(track_id=3, timescale=90_000, earliest=earliest, references=references)
        index = read_sidx(box)
        self.assertEqual(index, SegmentIndex(3, 90_000, earliest, 0, tuple(references)))

    @given(st.binary(max_size=100), st.integers(0, 60))
    def test_read_any_bytes(self, octets: bytes, place: int) -> None:
        """Whatever the bytes, it is an index or an error of ours."""
        box = bytearray(
            build_sidx(track_id=1, timescale=1, earliest=0, references=[(1, 1, True)] * 2)
        )
        box[place : place + len(octets)] = octets
        try:
            read_sidx(bytes(box))
        except NotMedia:
            return

    def test_ten_hours(self) -> None:
        """Ten hours with a keyframe every 10 s are 3,600 entries in 43 KB."""
        box = build_sidx(
            track_id=1, timescale=1_000, earliest=0, references=[(200_000, 10_000, True)] * 3_600
        )
        self.assertEqual(len(box), 43_240)
        self.assertEqual(len(read(box)[1]), 3_600)

    def test_more_than_fit(self) -> None:
        """Above 65,535 references neighbours are merged, and nothing is lost of size or time."""
        for count in (65_535, 65_536, 131_070, 131_071, 200_000):
            references = [(i % 7 + 1, i % 5 + 1, i % 2 == 0) for i in range(count)]
            box = build_sidx(track_id=1, timescale=1, earliest=0, references=references)
            _, entries = read(box)
            self.assertEqual(len(box), sidx_size(count))
            self.assertLessEqual(len(entries), 65_535)
            self.assertEqual(sum(e[0] for e in entries), sum(r[0] for r in references))
            self.assertEqual(sum(e[1] for e in entries), sum(r[1] for r in references))
            together = -(-count // 65_535)
            self.assertEqual([bool(e[2]) for e in entries], [r[2] for r in references[::together]])

    def test_too_large(self) -> None:
        """A reference that does not fit its field is an error, never a wrong entry."""
        for reference in (
            (MAX_REFERENCE_BYTES + 1, 1, True),
            (1, MAX_REFERENCE_DURATION + 1, True),
            (-1, 1, True),
        ):
            with self.assertRaises(ValueError):
                build_sidx(track_id=1, timescale=1, earliest=0, references=[reference])

    def test_ffmpeg_seeks_by_it(self) -> None:
        """FFmpeg reads a film with the index in front and seeks to a keyframe in it."""
        media = encoded(frames=12, keyframe_every=4)
        step = TIMESCALE // 5
        fragments = [
            write_fragment(
                sequence=n, decode_time=n * step, duration=step, keyframe=key,
                data=annexb_to_avc(packet),
            )
            for n, (packet, key) in enumerate(media.packets)
        ]  # fmt: skip
        groups = [fragments[i : i + 4] for i in (0, 4, 8)]
        box = build_sidx(
            track_id=1,
            timescale=TIMESCALE,
            earliest=0,
            references=[(sum(map(len, group)), 4 * step, True) for group in groups],
        )
        film = media.init + box + b"".join(fragments)
        self.assertEqual([grey for _, grey in decoded(film)], list(range(20, 140, 10)))
        with av.open(io.BytesIO(film), "r") as container:
            container.seek(8 * step, stream=container.streams.video[0])
            self.assertEqual(next(container.decode(video=0)).pts, 8 * step)
