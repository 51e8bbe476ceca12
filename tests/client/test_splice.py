"""Live segments of several sessions as one film."""

from __future__ import annotations

import io
from dataclasses import replace

import av
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fmp4.media import encoded
from vidlink.client import OtherPicture, Splice
from vidlink.errors import NotMedia
from vidlink.fmp4 import read_fragment, read_init
from vidlink.model import InitSegment, Segment, Tier

TICKS = media.FRAME_TICKS


def init(session_id: str = "one", data: bytes | None = None) -> InitSegment:
    """The initialization segment of a session."""
    return InitSegment("desk-1", session_id, media.init_segment() if data is None else data)


def segment(sequence: int, session_id: str = "one", media_time: int | None = None) -> Segment:
    """A segment of a session."""
    return Segment(
        "desk-1",
        session_id,
        sequence,
        media.start_time_us(sequence),
        media.FRAME_MS,
        5_000,
        media.is_keyframe(sequence),
        media.segment(sequence, media_time=media_time),
    )


class SpliceTests(SynchronousTestCase):
    """What is written, and when it is due."""

    def setUp(self) -> None:
        """A film that has begun."""
        self.splice = Splice()
        self.film = self.splice.begin(init())

    def add(self, *segments: Segment) -> list[int]:
        """Add to the film; when what was added is due, in frame times."""
        due = []
        for one in segments:
            data = self.splice.add(one)
            self.film += data
            if data:
                info = read_fragment(data, read_init(media.init_segment()))
                due.append(info.decode_time // TICKS)
        return due

    def times(self) -> list[float]:
        """The times of all pictures that a player decodes."""
        with av.open(io.BytesIO(self.film), "r") as container:
            return [float(frame.time or 0) for frame in container.decode(video=0)]

    def test_begins_at_zero(self) -> None:
        """Whenever it is joined, its time begins at 0 and runs as the frames do."""
        self.assertEqual(self.add(*map(segment, range(30, 35))), [0, 1, 2, 3, 4])
        self.assertEqual(self.film[: len(media.init_segment())], media.init_segment())
        self.assertEqual(len(self.times()), 5)
        self.assertEqual(self.splice.seconds, 1.0)

    def test_late_frames_keep_their_time(self) -> None:
        """A frame that came late is shown late."""
        self.assertEqual(self.add(segment(0), segment(1, media_time=7 * TICKS)), [0, 7])

    def test_hole(self) -> None:
        """After a hole it goes on where it was: nobody waits for what does not come."""
        self.assertEqual(self.add(segment(0), segment(1), segment(20), segment(21)), [0, 1, 2, 3])
        self.assertEqual(len(self.times()), 4)

    def test_next_session(self) -> None:
        """A session with the same parameters goes on behind the one before, without another
        initialization segment, whatever else is in that."""
        self.add(segment(0), segment(1))
        self.assertEqual(self.splice.begin(init("two")), b"")
        self.assertEqual(self.splice.begin(init("two", media.init_segment(b"note"))), b"")
        self.assertEqual(self.add(segment(0, "two"), segment(1, "two")), [2, 3])
        self.assertEqual(self.film.count(b"moov"), 1)
        self.assertEqual(self.times(), [0.0, 0.2, 0.4, 0.6])

    def test_other_picture(self) -> None:
        """A session with another size or another encoder cannot be joined, and says so."""
        self.add(segment(0))
        other = encoded(width=128, height=96).init
        error = self.assertRaises(OtherPicture, self.splice.begin, init("two", other))
        self.assertIn("64x48", str(error))
        self.assertIn("128x96", str(error))

    def test_nothing_twice(self) -> None:
        """What is in it already is not added again."""
        self.add(segment(0), segment(1), segment(2))
        self.assertEqual(self.add(segment(1), segment(2), segment(3)), [3])

    def test_keyframes(self) -> None:
        """In a film of keyframes the steps between them are what they were."""
        self.splice = Splice(Tier.KEYFRAMES)
        self.splice.begin(init())
        self.assertEqual(self.add(segment(10), segment(20), segment(30)), [0, 10, 20])

    def test_no_media(self) -> None:
        """Before an init there is nothing to add to; what is no media is an error of ours."""
        self.assertEqual(Splice().add(segment(0)), b"")
        self.assertRaises(NotMedia, self.splice.add, replace(segment(0), data=b"x" * 50))
        self.assertRaises(NotMedia, self.splice.begin, init(data=b"x" * 50))
