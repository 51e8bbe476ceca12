"""Tests of the recorded media: they have to be what they are taken for."""

from __future__ import annotations

import io

import av
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.media import (
    FRAME_TICKS,
    KEYFRAME_EVERY,
    TIMESCALE,
    init_segment,
    is_keyframe,
    segment,
    start_time_us,
)
from vidlink.fmp4 import read_fragment, read_init


class MediaTests(SynchronousTestCase):
    """The recorded initialization segment and pictures."""

    def test_whole_stream_decodes(self) -> None:
        """FFmpeg shows every picture, the ones between keyframes too, at its time."""
        film = init_segment() + b"".join(segment(n, filler_bytes=n) for n in range(25))
        with av.open(io.BytesIO(film), "r") as container:
            frames = list(container.decode(video=0))
        self.assertEqual([frame.pts for frame in frames], [n * FRAME_TICKS for n in range(25)])
        greys = [bytes(frame.planes[0])[0] for frame in frames]
        self.assertEqual(len(set(greys)), KEYFRAME_EVERY)
        self.assertEqual(greys[: KEYFRAME_EVERY + 1], [*sorted(set(greys)), greys[0]])

    def test_boxes(self) -> None:
        """The server reads of a segment what was asked for."""
        media = read_init(init_segment())
        self.assertEqual((media.timescale, media.width, media.height), (TIMESCALE, 64, 48))
        for number in (0, 7, 10, 4_000_000_000):
            info = read_fragment(segment(number), media)
            self.assertEqual(info.sequence, number)
            self.assertEqual(info.is_keyframe, is_keyframe(number))
            self.assertEqual(info.decode_time, number * FRAME_TICKS)
            self.assertEqual(info.duration, FRAME_TICKS)
            self.assertEqual(info.producer_time_us, start_time_us(number))

    def test_other_wishes(self) -> None:
        """Keyframe, time, duration and size are as the caller says."""
        info = read_fragment(
            segment(3, keyframe=True, media_time=77, duration=5), read_init(init_segment())
        )
        self.assertEqual((info.is_keyframe, info.decode_time, info.duration), (True, 77, 5))
        plain = len(segment(3))
        self.assertGreaterEqual(len(segment(3, filler_bytes=5_000)), plain + 5_000)

    def test_another_init(self) -> None:
        """A note makes another initialization segment of the same media."""
        self.assertNotEqual(init_segment(b"other"), init_segment())
        self.assertEqual(read_init(init_segment(b"other")), read_init(init_segment()))
