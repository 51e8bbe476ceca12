"""What every archive promises of time ranges and playlists: the real one and the fake alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.store import MemoryStore
from tests.fmp4.movies import media_of, picture_track
from tests.store.rig import Rig
from tests.store.samples import (
    EPOCH_US,
    FRAME_TICKS,
    FRAME_US,
    TIMESCALE,
    a_session,
    an_arrival,
)
from vidlink.errors import NotFound
from vidlink.model import Clip, ClipQuery

DAY_US = 24 * 60 * 60 * 1_000_000

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object


def at(frames: float) -> int:
    """The time of capture of this frame, counted from 0."""
    return EPOCH_US + round(frames * FRAME_US)


class FilmContract(_Case):
    """The promises; a subclass gives a store and settles it."""

    now_us = EPOCH_US
    store: Any

    def make(self) -> Any:
        """A store that writes nothing before :meth:`settle`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let everything handed over become durable."""
        raise NotImplementedError

    def setUp(self) -> None:
        """A store, and a session that has begun."""
        self.store = self.make()
        self.session = a_session()
        self.store.ledger.begin(self.session, lambda sequence: None)

    def record(self, *sequences: int, late: bool = False) -> None:
        """Append these sequences; every fifth is a keyframe."""
        for sequence in sequences:
            self.store.ledger.append(
                self.session.session_id, an_arrival(self.session, sequence, late=late)
            )

    def end(self) -> None:
        """End the session, and let that be durable."""
        self.store.ledger.end(self.session.session_id, "over", self.now_us)
        self.settle()

    def whole(self, body: Any) -> bytes:
        """All of a body, read in one."""
        return bytes(self.successResultOf(body.read(0, body.size_bytes)))

    def clip(
        self, start: float | None = None, end: float | None = None, last: int | None = None
    ) -> tuple[Any, Clip]:
        """A range between two frames, and where it is."""
        times = [None if frame is None else at(frame) for frame in (start, end)]
        asked = self.store.archive.film(
            "desk-1", self.session.session_id, ClipQuery(times[0], times[1], last)
        )
        body, clip = self.successResultOf(asked)
        return body, clip

    def sequences(
        self, start: float | None = None, end: float | None = None, last: int | None = None
    ) -> list[int]:
        """The segments of a range, found by what stands in each; all else of it is checked."""
        body, clip = self.clip(start, end, last)
        data = self.whole(body)
        samples = picture_track(data).samples
        found = [int(sample.data.removeprefix(b"frame ")) for sample in samples]
        raw = b"".join(bytes(an_arrival(self.session, n).segment.data) for n in found)
        self.assertEqual(media_of(data), raw)
        self.assertEqual([one.is_sync for one in samples], [n % 5 == 0 for n in found])
        times = [(n - found[0]) * FRAME_TICKS for n in found]
        self.assertEqual([one.due for one in samples], times)
        self.assert_shown(data, clip, found)
        return found

    def assert_shown(self, data: bytes, clip: Clip, found: list[int]) -> None:
        """What is shown of a film of these segments is what `clip` says."""
        track = picture_track(data)
        whole = found[-1] + 1 - found[0]
        begins, length = track.edit or (0, whole * FRAME_TICKS)
        start_us = at(found[0]) + begins * 1_000_000 // TIMESCALE
        end_us = start_us + length * 1_000_000 // TIMESCALE
        self.assertEqual((clip.start_time_us, clip.end_time_us), (start_us, end_us))

    # Time ranges

    def test_from_the_keyframe_before(self) -> None:
        """A range begins with the keyframe at or before its start, and ends before its end."""
        self.record(*range(20))
        for settled in (False, True):
            if settled:
                self.settle()
            self.assertEqual(self.sequences(7, 12), [5, 6, 7, 8, 9, 10, 11])
            self.assertEqual(self.sequences(5, 5.001), [5])
            self.assertEqual(self.sequences(4.999, 5), [0, 1, 2, 3, 4])
            self.assertEqual(self.sequences(7.5, 7.5), [5, 6, 7])
            self.assertEqual(self.sequences(None, 3), [0, 1, 2])
            self.assertEqual(self.sequences(16), [15, 16, 17, 18, 19])
            self.assertEqual(self.sequences(-50, 2), [0, 1])
            self.assertEqual(self.sequences(19.9, 900), [15, 16, 17, 18, 19])
            self.assertEqual(self.sequences(None, 900), list(range(20)))

    def test_from_disk_and_memory(self) -> None:
        """A range may begin and end on disk, or in what still waits for it."""
        self.record(*range(13))
        self.settle()
        self.record(*range(13, 28))
        self.assertEqual(self.sequences(6, 9), [5, 6, 7, 8])
        self.assertEqual(self.sequences(11, 17), list(range(10, 17)))
        self.assertEqual(self.sequences(14, 17), list(range(10, 17)))
        self.assertEqual(self.sequences(22), list(range(20, 28)))
        before = self.clip(11, 17)[0]
        self.settle()
        after = self.clip(11, 17)[0]
        self.assertEqual((before.etag, self.whole(before)), (after.etag, self.whole(after)))

    def test_shown_from_the_picture_asked_for(self) -> None:
        """What is shown begins with the picture that was to be seen at the start, and is over
        at the end; what that picture builds on is there, and not shown."""
        self.record(*range(20))
        for settled in (False, True):
            if settled:
                self.settle()
            for start, end, first, over in (
                (7, 12, 7, 12),
                (7.5, 12.25, 7, 12.25),
                (5, 5.5, 5, 5.5),
                (-3, 2, 0, 2),
                (18.9, 40, 18, 20),
                (7.5, 7.5, 7, 7.5),
            ):
                body, clip = self.clip(start, end)
                self.assertEqual((clip.start_time_us, clip.end_time_us), (at(first), at(over)))
                track = picture_track(self.whole(body))
                edit = (first % 5) * FRAME_TICKS, round((over - first) * FRAME_TICKS)
                self.assertEqual(track.edit or (0, track.duration), edit)

    def test_in_a_gap(self) -> None:
        """What starts in a gap begins after it, not with what was over before."""
        self.record(*range(8), *range(12, 20))
        self.settle()
        self.assertEqual(self.sequences(9, 17), [15, 16])
        self.assertEqual(self.sequences(7.9, 17), [5, 6, 7, 15, 16])
        self.assertEqual(self.sequences(8, 17), [15, 16])
        self.assertEqual(self.sequences(13, 17), [15, 16])
        self.assert_nothing(9, 15)

    def assert_nothing(
        self, start: float | None, end: float | None = None, last: int | None = None
    ) -> None:
        """Nothing can be shown of this range."""
        times = [None if frame is None else at(frame) for frame in (start, end)]
        asked = self.store.archive.film(
            "desk-1", self.session.session_id, ClipQuery(times[0], times[1], last)
        )
        self.failureResultOf(asked, NotFound)

    def test_nothing_there(self) -> None:
        """A range of which nothing can be shown is not found."""
        self.assert_nothing(None, 5)
        self.assert_nothing(0)
        self.record(*range(3, 9))
        for settled in (False, True):
            if settled:
                self.settle()
            self.assert_nothing(9)
            self.assert_nothing(None, 5)
            self.assert_nothing(7, 9, last=6)
            self.assertEqual(self.sequences(8.9), [5, 6, 7, 8])

    def test_a_frame_that_stays(self) -> None:
        """A picture is there until the next one comes, however short it was said to be."""
        for sequence in range(8):
            arrival = an_arrival(self.session, sequence, keyframe=sequence in (0, 3))
            if sequence >= 3:
                start_us = arrival.segment.start_time_us + 5 * FRAME_US
                arrival = replace(arrival, segment=replace(arrival.segment, start_time_us=start_us))
            self.store.ledger.append(self.session.session_id, arrival)
        self.settle()
        for start, begun in ((4, 2), (7.9, 2), (8, 8), (8.1, 8)):
            self.assertEqual(self.clip(start)[1].start_time_us, at(begun))

    def test_range_is_pinned(self) -> None:
        """A range up to a sequence stays as it is, bytes and validator, while more comes."""
        self.record(*range(13))
        pinned = self.clip(6, last=12)[0]
        self.settle()
        self.record(*range(13, 20))
        again, grown = self.clip(6, last=12)[0], self.clip(6)[0]
        self.assertEqual((pinned.etag, self.whole(pinned)), (again.etag, self.whole(again)))
        self.assertNotEqual(grown.etag, pinned.etag)
        self.assertEqual(self.sequences(6, last=12), list(range(5, 13)))
        # Two ranges of as many octets are not taken for one another.
        self.assertNotEqual(self.clip(5, 7)[0].etag, self.clip(15, 17)[0].etag)

    def test_range_in_pieces(self) -> None:
        """Any piece of a range is the same as that piece of all of it."""
        self.record(*range(12))
        self.settle()
        self.record(12, 13)
        body = self.clip(7)[0]
        whole = self.whole(body)
        self.assertEqual(len(whole), body.size_bytes)
        for offset in range(0, body.size_bytes + 9, 7):
            piece = self.successResultOf(body.read(offset, 11))
            self.assertEqual(piece, whole[offset : offset + 11])

    def test_raw_bytes_stay(self) -> None:
        """A range changes nothing of what is recorded."""
        self.record(*range(12))
        self.settle()
        self.whole(self.clip(7)[0])
        body, _ = self.successResultOf(
            self.store.archive.media("desk-1", self.session.session_id, 5, 6)
        )
        stored = [an_arrival(self.session, n).segment.data for n in (5, 6)]
        self.assertEqual(self.whole(body), b"".join(stored))

    def test_final(self) -> None:
        """A range cannot change any more once its session is sealed."""
        self.record(*range(12))
        self.end()
        self.assertIs(self.clip(7)[0].is_final, False)
        self.now_us += DAY_US
        self.assertIs(self.clip(7)[0].is_final, True)

    # The playlist

    def playlist(self) -> str:
        """The text of the playlist."""
        asked = self.store.archive.playlist("desk-1", self.session.session_id)
        return self.whole(self.successResultOf(asked)).decode("ascii")

    def listed(self) -> list[str]:
        """The ranges in the playlist; a gap is an empty string."""
        lines = self.playlist().splitlines()
        found = [
            line.removeprefix("segments/").removesuffix(".mp4")
            for line in lines
            if line.startswith("segments/") or line == "#EXT-X-DISCONTINUITY"
        ]
        return ["" if one.startswith("#") else one for one in found]

    def test_playlist_grows(self) -> None:
        """A live session's list has every interval that is over and durable, and only grows."""
        head = self.playlist()
        self.assertNotIn("#EXTINF", head)
        self.record(*range(12))
        self.assertEqual(self.playlist(), head)
        self.settle()
        self.assertEqual(self.listed(), ["0-4", "5-9"])
        before = self.playlist()
        self.record(12, 13)
        self.settle()
        self.assertEqual(self.playlist(), before)
        self.record(14, 15)
        self.settle()
        self.assertEqual(self.listed(), ["0-4", "5-9", "10-14"])
        self.assertTrue(self.playlist().startswith(before))
        before = self.playlist()
        self.end()
        self.assertTrue(self.playlist().startswith(before))
        self.assertTrue(self.playlist().endswith("segments/15-15.mp4\n#EXT-X-ENDLIST\n"))

    def test_not_closed_too_early(self) -> None:
        """The list of an ended session is closed when the last of it is durable."""
        self.record(*range(7))
        self.settle()
        self.record(7)
        self.store.ledger.end(self.session.session_id, "over", self.now_us)
        self.assertNotIn("ENDLIST", self.playlist())
        self.settle()
        self.assertEqual(self.listed(), ["0-4", "5-7"])
        self.assertIn("ENDLIST", self.playlist())

    def test_late_segments_wait(self) -> None:
        """What comes late is listed, in its place, when the session is sealed."""
        self.record(0, 1, 2, *range(5, 12))
        self.settle()
        before = self.playlist()
        self.assertEqual(self.listed(), ["0-2", "", "5-9"])
        self.record(3, 4, late=True)
        self.settle()
        self.assertEqual(self.playlist(), before)
        self.record(*range(12, 16))
        self.settle()
        self.assertTrue(self.playlist().startswith(before))
        self.assertIn("#EXT-X-PLAYLIST-TYPE:EVENT", self.playlist())
        self.end()
        self.assertEqual(self.listed(), ["0-2", "", "5-9", "10-14", "15-15"])
        self.now_us += DAY_US
        self.assertEqual(self.listed(), ["0-4", "5-9", "10-14", "15-15"])
        sealed = self.playlist()
        self.assertIn("#EXT-X-PLAYLIST-TYPE:VOD", sealed)
        self.assertIn("#EXT-X-INDEPENDENT-SEGMENTS", sealed)
        self.assertTrue(sealed.endswith("#EXT-X-ENDLIST\n"))

    def test_playlist_with_gap(self) -> None:
        """After a gap stands a discontinuity with the time of capture; what cannot be decoded
        is not listed."""
        self.record(*range(7), 8, 9, *range(10, 12))
        self.end()
        self.assertEqual(
            self.playlist().splitlines()[5:],
            [
                '#EXT-X-MAP:URI="init.mp4"',
                "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00.000Z",
                "#EXTINF:1.000000,",
                "segments/0-4.mp4",
                "#EXTINF:0.400000,",
                "segments/5-6.mp4",
                "#EXT-X-DISCONTINUITY",
                "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:02.000Z",
                "#EXTINF:0.400000,",
                "segments/10-11.mp4",
                "#EXT-X-ENDLIST",
            ],
        )

    def test_playlist_validator(self) -> None:
        """The validator of the list changes when the list does."""
        session_id = self.session.session_id

        def state() -> tuple[str, bool]:
            body = self.successResultOf(self.store.archive.playlist("desk-1", session_id))
            return body.etag, body.is_final

        empty = state()
        self.record(*range(6))
        self.settle()
        begun = state()
        self.assertNotEqual(begun[0], empty[0])
        self.assertEqual(state(), begun)
        self.end()
        ended = state()
        self.assertNotEqual(ended[0], begun[0])
        self.now_us += DAY_US
        self.assertEqual([one[1] for one in (empty, begun, ended, state())], [False] * 3 + [True])

    def test_unknown(self) -> None:
        """What does not exist is not found."""
        for sentinel_id, session_id in (
            ("desk-1", "session-99999999"),
            ("desk-2", self.session.session_id),
        ):
            asked = self.store.archive.film(sentinel_id, session_id, ClipQuery(0))
            self.failureResultOf(asked, NotFound)
            self.failureResultOf(self.store.archive.playlist(sentinel_id, session_id), NotFound)


class MemoryFilmTests(FilmContract, SynchronousTestCase):
    """The fake."""

    def make(self) -> MemoryStore:
        """A fake that commits when told to."""
        return MemoryStore(wall_clock_us=lambda: self.now_us, commit_at_once=False)

    def settle(self) -> None:
        """Commit."""
        self.store.commit()


class RecordingFilmTests(FilmContract, SynchronousTestCase):
    """The real store, on a real disk, its rounds done by hand."""

    def make(self) -> Any:
        """A store in a folder of its own."""
        self.rig = Rig(self.mktemp(), wall_clock_us=lambda: self.now_us)
        self.addCleanup(self.rig.close)
        return self.rig.store

    def settle(self) -> None:
        """Do rounds until nothing is left to do."""
        self.rig.settle()

    def test_list_after_a_restart(self) -> None:
        """A list that was read anew is the one that has grown, holes, late segments and all."""
        for sequences, late in (
            (range(4), False), (range(6, 13), False), (range(4, 6), True),
            (range(13, 17), False), (range(20, 27), False), (range(18, 20), True),
        ):  # fmt: skip
            self.record(*sequences, late=late)
            self.settle()
            grown = self.playlist()
        self.end()
        grown_to_end = self.playlist()
        self.assertTrue(grown_to_end.startswith(grown))
        self.rig = self.rig.again()
        self.addCleanup(self.rig.close)
        self.store = self.rig.store
        self.assertEqual(self.playlist(), grown_to_end)


FRAMES = st.one_of(st.none(), st.integers(-3, 36).map(lambda n: n / 2))


class BothAlikeTests(SynchronousTestCase):
    """Whatever is missing, both archives say the same."""

    @given(
        st.lists(st.tuples(st.integers(0, 15), st.booleans()), max_size=14),
        st.integers(0, 14),
        FRAMES,
        FRAMES,
        st.one_of(st.none(), st.integers(0, 16)),
    )
    def test_alike(
        self,
        segments: list[tuple[int, bool]],
        settled: int,
        start: float | None,
        end: float | None,
        last: int | None,
    ) -> None:
        """A range of any session is the same in both, and so is the list."""
        session = a_session()
        fake = MemoryStore(wall_clock_us=lambda: EPOCH_US, commit_at_once=False)
        rig = Rig(self.mktemp())
        times = [None if one is None else at(one) for one in (start, end)]
        query = ClipQuery(times[0], times[1], last)
        found: list[Any] = []
        try:
            stores: list[Any] = [fake, rig.store]
            for store in stores:
                store.ledger.begin(session, lambda sequence: None)
                for number, (sequence, is_key) in enumerate(sorted(dict(segments).items())):
                    store.ledger.append(
                        session.session_id, an_arrival(session, sequence, keyframe=is_key)
                    )
                    if number == settled:
                        fake.commit()
                        rig.settle()
                found.append([])
                store.archive.film("desk-1", session.session_id, query).addBoth(found[-1].append)
                store.archive.playlist("desk-1", session.session_id).addBoth(found[-1].append)
            (clip, listed), (other, other_listed) = found
            text = self.successResultOf(listed.read(0, listed.size_bytes))
            other_text = self.successResultOf(other_listed.read(0, other_listed.size_bytes))
            self.assertEqual(text, other_text)
            if isinstance(clip, tuple) and clip[0].etag == other[0].etag:
                return  # Nothing to show: the init alone.
            if not isinstance(clip, tuple):
                self.assertEqual(clip.type, other.type, clip)
                self.assertIs(clip.type, NotFound)
                return
            self.assertEqual(clip[1], other[1])
            mine, its = (
                self.successResultOf(body.read(0, body.size_bytes)) for body in (clip[0], other[0])
            )
            self.assertEqual(media_of(mine), media_of(its))
            tracks = [picture_track(mine), picture_track(its)]
            self.assertEqual(*(replace(one, samples=[]) for one in tracks))
            of_both = ([(s.data, s.due, s.is_sync) for s in one.samples] for one in tracks)
            self.assertEqual(*of_both)
        finally:
            rig.remove()
