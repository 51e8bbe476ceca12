"""Tests of films of media in every layout that is taken: real pictures, as players show them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import av
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import frames_of, grey, muxed
from tests.fmp4.movies import media_of, picture_track, texts
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session
from vidlink.fmp4 import MediaInfo, iter_boxes, read_fragment, read_init, read_movie
from vidlink.model import Arrival, Cause, ClipQuery, Gap, Segment
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.boxes import StoredHeads
from vidlink.store.film.scene import Scene

EACH_FRAME = "frag_every_frame+empty_moov+default_base_moof"
EACH_INTERVAL = "frag_keyframe+empty_moov+default_base_moof"
#: Options of FFmpeg's muxer, and how many frames in a row are not shown in the order of decoding.
LAYOUTS = {
    "one frame": (EACH_FRAME, 0),
    "an interval": (EACH_INTERVAL, 0),
    "B-frames, one frame": (EACH_FRAME, 2),
    "B-frames, an interval": (EACH_INTERVAL, 2),
    "B-frames, negative offsets": (EACH_FRAME + "+negative_cts_offsets", 2),
    "B-frames, an edit list": ("frag_every_frame+delay_moov+default_base_moof", 2),
}
FRAMES, GOP = 20, 10
FRAME_US = 200_000


def arrivals(pieces: list[bytes], media: MediaInfo, is_told: bool) -> Iterator[Arrival]:
    """The segments of a film as they arrive; their index records may say where samples lie."""
    session = a_session()
    for number, data in enumerate(pieces):
        mfhd = data.index(b"mfhd")
        data = data[: mfhd + 8] + number.to_bytes(4, "big") + data[mfhd + 12 :]
        info = read_fragment(data, media)
        segment = Segment(
            session.sentinel_id,
            session.session_id,
            number,
            EPOCH_US + info.decode_time * 1_000_000 // media.timescale,
            info.duration * 1_000 // media.timescale,
            5_000,
            info.is_keyframe,
            data,
        )
        yield Arrival(
            segment,
            info.decode_time,
            info.duration,
            0.0,
            segment.start_time_us,
            sample_offset=info.sample_offset if is_told else 0,
        )


def flipped(
    pread: Callable[[int, int, int], bytes], place: int, descriptor: int, offset: int, size: int
) -> bytes:
    """What `pread` gives, with a wrong bit in the octet at `place`."""
    data = bytearray(pread(descriptor, offset, size))
    if offset <= place < offset + len(data):
        data[place - offset] ^= 1 << (place % 3) * 3
    return bytes(data)


class LayoutCase(SynchronousTestCase):
    """Twenty greys, five a second, a keyframe every tenth."""

    def record(self, layout: str, *, without: Iterable[int] = (), is_told: bool = True) -> Rig:
        """A session of these pictures in this layout, without some of its segments."""
        flags, b_frames = LAYOUTS[layout]
        init, *pieces = muxed(flags, frames=FRAMES, gop=GOP, b_frames=b_frames)
        media = read_init(init)
        pieces = [one for one in pieces if any(box.kind == b"moof" for box in iter_boxes(one))]
        self.session = a_session(init=init)
        object.__setattr__(self.session, "timescale", media.timescale)
        object.__setattr__(self.session, "track_id", media.track_id)
        rig = Rig(self.mktemp())
        self.addCleanup(rig.close)
        rig.store.ledger.begin(self.session, lambda sequence: None)
        self.sent = list(arrivals(pieces, media, is_told))
        for arrival in self.sent:
            if arrival.segment.sequence not in without:
                rig.store.ledger.append(self.session.session_id, arrival)
        rig.settle()
        return rig

    def film(self, rig: Rig, query: ClipQuery = ClipQuery()) -> bytes:  # noqa: B008
        """A film of it."""
        asked = rig.store.archive.film("desk-1", self.session.session_id, query)
        body, self.clip = self.successResultOf(asked)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data

    def pictures(self, data: bytes) -> list[tuple[float, int]]:
        """When which picture is shown."""
        return [
            (round(float(frame.time or 0), 3), round((bytes(frame.planes[0])[0] - 20) / 10))
            for frame in frames_of(data)
        ]


class LayoutTests(LayoutCase):
    """Whatever the layout, the film is the same to whoever looks at it."""

    def test_whole(self) -> None:
        """Every picture is shown, in its order and at its time, and the recorded octets are in
        the file as they were sent."""
        for layout in LAYOUTS:
            for is_told in (True, False):
                rig = self.record(layout, is_told=is_told)
                data = self.film(rig)
                expected = [(round(n / 5, 3), n) for n in range(FRAMES)]
                self.assertEqual(self.pictures(data), expected, layout)
                sent = b"".join(bytes(one.segment.data) for one in self.sent)
                self.assertEqual(media_of(data), sent, layout)
                with av.open(io.BytesIO(data), "r") as container:
                    self.assertEqual(container.duration, FRAMES / 5 * av.time_base, layout)

    def test_seeks(self) -> None:
        """Wherever a player goes, it comes to the picture of that time."""
        for layout in LAYOUTS:
            with av.open(io.BytesIO(self.film(self.record(layout))), "r") as container:
                for number in (13, 3, 17, 10, 0, 9, 19, 11, 1):
                    container.seek(number * av.time_base // 5)
                    shown = next(
                        frame
                        for frame in container.decode(video=0)
                        if float(frame.time or 0) > number / 5 - 0.1
                    )
                    expected = bytes(grey(number, 64, 48).planes[0])[0]
                    found = bytes(shown.planes[0])[0]
                    self.assertAlmostEqual(found, expected, delta=3, msg=f"{layout} {number}")

    def test_ranges(self) -> None:
        """A range begins with the picture that was to be seen at its start, has every one until
        its end, and says when the first was captured."""
        for layout in LAYOUTS:
            rig = self.record(layout)
            for start, end, first, stop in (
                (7.0, 14.0, 7, 14),
                (3.4, 9.5, 3, 10),
                (10.0, 20.0, 10, 20),
                (13.0, None, 13, 20),
                (None, 8.0, 0, 8),
                (9.0, 11.0, 9, 11),
            ):
                times = [None if one is None else EPOCH_US + round(one * FRAME_US)
                         for one in (start, end)]  # fmt: skip
                data = self.film(rig, ClipQuery(*times))
                expected = [(round((n - first) / 5, 3), n) for n in range(first, stop)]
                self.assertEqual(self.pictures(data), expected, (layout, start, end))
                self.assertEqual(self.clip.start_time_us, EPOCH_US + first * FRAME_US)
                over = 20.0 if end is None else end
                self.assertEqual(self.clip.end_time_us, EPOCH_US + round(over * FRAME_US))
                track = picture_track(data)
                length = track.edit[1] if track.edit else track.duration
                wanted = over - first
                self.assertAlmostEqual(length / track.timescale, wanted / 5, delta=0.01)

    def test_hole(self) -> None:
        """The picture before a hole stays until the next keyframe, and a caption says why."""
        for layout in ("one frame", "B-frames, one frame"):
            rig = self.record(layout, without=(4,))
            gap = Gap(4, 4, Cause.SPOOL_FULL)
            rig.store.ledger.gap(self.session.session_id, gap)
            data = self.film(rig)
            shown = self.pictures(data)
            numbers = [number for _, number in shown]
            self.assertEqual(numbers[-10:], list(range(10, 20)), layout)
            self.assertEqual([time for time, number in shown if number == 10], [2.0])
            ((begin, end, text),) = texts(data)
            track = picture_track(data)
            self.assertEqual((begin / track.timescale, end / track.timescale), (0.8, 2.0))
            self.assertEqual(
                text,
                "Not recorded from 2024-01-01 00:00:00 to 00:00:02 (UTC): the sentinel was cut "
                "off for longer than its spool lasts",
            )

    def test_no_boxes(self) -> None:
        """What the index does not tell and the disk does not give is left out, no more."""
        rig = self.record("one frame", is_told=False)
        real = rig.disk.pread
        lost = self.sent[12].segment.data[:256]

        def pread(descriptor: int, offset: int, size: int) -> bytes:
            data = real(descriptor, offset, size)
            return bytes(len(data)) if data[:200] == lost[:200] else data

        rig.disk.pread = pread  # type: ignore[method-assign]
        asked = rig.store.archive.film("desk-1", self.session.session_id)
        body, _ = self.successResultOf(asked)
        head = read_movie(self.successResultOf(body.read(0, 4_096)))
        self.assertEqual(len(head.samples.sizes), 12)

    def test_wrong_bit_in_a_head(self) -> None:
        """One wrong bit in the boxes of a segment whose samples its record does not tell of costs
        at most what builds on it: what follows from the next keyframe on is shown."""
        for layout, victim, at_least in (("one frame", 5, 15), ("an interval", 0, 10)):
            rig = self.record(layout, is_told=False)
            data = self.sent[victim].segment.data
            moof = next(box for box in iter_boxes(data) if box.kind == b"moof")
            stored = StoredSession(rig.disk, folder_of(rig, self.session))
            whole = read_init(self.session.init)
            with stored.records(None) as records:
                ((part, columns),) = records.columns_beyond({})
            real, start = rig.disk.pread, columns.offsets[victim]
            for place in range(start, start + moof.end):
                rig.disk.pread = partial(flipped, real, place)  # type: ignore[method-assign]
                scene = Scene()
                with StoredHeads(stored, whole) as heads:
                    scene.take(part, columns, heads.reading(part, columns))
                self.assertGreaterEqual(len(scene.samples.sizes), at_least, place - start)
                self.assertEqual(scene.seen, columns.sequences[-1])
                self.assertEqual(scene.sequences[-1], columns.sequences[-1])
            rig.disk.pread = real  # type: ignore[method-assign]
