"""What other muxers write and the standard allows, one variation at a time: recorded, and read back
by a stock player from the film, from a time range of it, and from the playlist."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from struct import pack, unpack_from

import pytest

from tests.rigs.daemons import Site
from tests.rigs.foreign import (
    EACH_FRAME,
    EACH_INTERVAL,
    HEIGHT,
    WIDTH,
    Film,
    film,
    number_of,
    record,
)
from tests.rigs.needs import need
from vidlink.fmp4 import iter_boxes, read_init

#: Alters the kind and the body of one box in `traf`; it may become several.
Change = Callable[[bytes, bytes], bytes]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for all of them."""
    site = Site(tmp_path_factory.mktemp("odd"))
    site.start_server()
    yield site
    site.stop()


def box(kind: bytes, body: bytes) -> bytes:
    """A box."""
    return pack(">I4s", 8 + len(body), kind) + body


def each(made: Film, change: Callable[[bytes], bytes]) -> Film:
    """`made` with each of its segments changed."""
    pieces = tuple(replace(piece, data=change(piece.data)) for piece in made.pieces)
    return replace(made, pieces=pieces)


def in_traf(change: Change) -> Callable[[bytes], bytes]:
    """A change of a segment that changes what is in its `traf`; offsets of data are put right."""

    def changed(data: bytes) -> bytes:
        boxes = {one.kind: one for one in iter_boxes(data)}
        moof = boxes[b"moof"]
        inner = {one.kind: one for one in iter_boxes(data, moof.body, moof.end)}
        traf = inner[b"traf"]

        def made(more: int) -> bytes:
            pieces = b""
            for one in iter_boxes(data, traf.body, traf.end):
                body = data[one.body : one.end]
                if one.kind == b"trun" and body[3] & 1:
                    place = unpack_from(">i", body, 8)[0] + more
                    body = body[:8] + pack(">i", place) + body[12:]
                pieces += change(one.kind, body)
            mfhd = data[inner[b"mfhd"].start : inner[b"mfhd"].end]
            return box(b"moof", mfhd + box(b"traf", pieces))

        more = len(made(0)) - (moof.end - moof.start)
        return data[: moof.start] + made(more) + data[moof.end :]

    return changed


def narrow_time(kind: bytes, body: bytes) -> bytes:
    """A `tfdt` of 32 bits."""
    if kind == b"tfdt" and body[0]:
        body = bytes(4) + body[8:12]
    return box(kind, body)


def two_runs(kind: bytes, body: bytes, is_told: bool = True) -> bytes:
    """One run of samples as two; unless it `is_told` where the second begins, it goes on where the
    first ends."""
    if kind != b"trun":
        return box(kind, body)
    flags, count = unpack_from(">II", body)
    start = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    columns = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    half = count // 2
    middle = start + 4 * half * len(columns)
    one = pack(">II", flags, half) + body[8:middle]
    table = unpack_from(f">{half * len(columns)}I", body, start)
    place = unpack_from(">i", body, 8)[0] + sum(table[columns.index(0x200) :: len(columns)])
    told = pack(">i", place) if is_told else b""
    two = pack(">II", flags & ~5 | is_told, count - half) + told + body[middle:]
    return box(kind, one) + box(kind, two)


def wide_mdat(data: bytes) -> bytes:
    """An `mdat` whose size has 64 bits."""
    mdat = next(one for one in iter_boxes(data) if one.kind == b"mdat")
    body = data[mdat.body : mdat.end]
    wide = pack(">I4sQ", 1, b"mdat", 16 + len(body)) + body

    def moved(kind: bytes, inner: bytes) -> bytes:
        if kind == b"trun" and inner[3] & 1:
            inner = inner[:8] + pack(">i", unpack_from(">i", inner, 8)[0] + 8) + inner[12:]
        return box(kind, inner)

    return in_traf(moved)(data[: mdat.start] + wide)


def avc3(made: Film) -> Film:
    """A film whose parameter sets stand in its frames."""
    place = made.init.index(b"avc1", made.init.index(b"stsd"))
    init = made.init[:place] + b"avc3" + made.init[place + 4 :]
    assert read_init(init).codec.startswith("avc3")
    return replace(made, init=init)


#: As a segment by itself, FFmpeg misreads this one.
UNTOLD = "two runs, the second without a place"
EMSG = box(b"emsg", b"\0\0\0\0a\0b\0" + bytes(16))
FLAGS = "frag_every_frame+empty_moov+"
LAYOUTS: dict[str, Callable[[], Film]] = {
    "plain": lambda: film(6),
    "narrow times": lambda: each(film(6), in_traf(narrow_time)),
    "a wide mdat": lambda: each(film(6), wide_mdat),
    "two runs": lambda: each(film(6, movflags=EACH_INTERVAL), in_traf(two_runs)),
    "two runs of B-frames": lambda: each(
        film(6, bframes=2, movflags=EACH_INTERVAL), in_traf(two_runs)
    ),
    UNTOLD: lambda: each(
        film(6, movflags=EACH_INTERVAL), in_traf(lambda kind, body: two_runs(kind, body, False))
    ),
    "boxes of its own": lambda: film(
        6, movflags="dash+" + EACH_FRAME, more=("-write_prft", "wallclock")
    ),
    "an event": lambda: each(film(6), lambda data: EMSG + data),
    "no base": lambda: film(6, movflags=FLAGS + "omit_tfhd_offset"),
    "a slow clock": lambda: film(6, more=("-video_track_timescale", "1000")),
    "a fast clock": lambda: film(6, more=("-video_track_timescale", "10000000")),
    "B-frames": lambda: film(6, bframes=2),
    "B-frames, negative": lambda: film(6, bframes=2, movflags=EACH_FRAME + "+negative_cts_offsets"),
    "B-frames, delayed": lambda: film(
        6, bframes=2, movflags="frag_every_frame+delay_moov+default_base_moof"
    ),
    "avc3": lambda: avc3(film(6, more=("-bsf:v", "dump_extra=freq=keyframe"))),
    "25 a second": lambda: film(3, rate=25, gop=50),
    # One in five seconds, each longer than what most players look ahead.
    "one in five seconds": lambda: film(60, rate=0.2, gop=4),
}


def numbers(url: str) -> list[int | None]:
    """The number of each picture that FFmpeg shows."""
    command = [need("ffmpeg"), "-v", "error", "-i", url, "-fps_mode", "passthrough"]
    done = subprocess.run(
        [*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, timeout=60
    )
    size = WIDTH * HEIGHT
    places = range(0, len(done.stdout) - size + 1, size)
    return [number_of(done.stdout[place : place + size]) for place in places]


@pytest.mark.parametrize("name", LAYOUTS)
def test_read_back(running: Site, name: str) -> None:
    """Every picture comes once and in its order; of a range just those that were asked for; and
    the film is as long as it took."""
    made = LAYOUTS[name]()
    session = record(running, made, "odd-" + "".join(filter(str.isalnum, name)))
    base = running.url + session.path
    expected = list(range(made.frames))
    assert numbers(f"{base}/recording.mp4") == expected
    if name != UNTOLD:
        assert numbers(f"{base}/index.m3u8") == expected
    first, stop = made.frames // 2 - 3, made.frames - 4
    start, end = (made.began_us + round(n * 1e6 / made.rate) for n in (first, stop))
    clip = f"{base}/recording.mp4?start={start}&end={end}"
    assert numbers(clip) == list(range(first, stop))
    assert int(running.get(clip.removeprefix(running.url))[1]["VidLink-Start"]) == start
    command = [need("ffprobe"), "-v", "error", "-show_entries", "format=duration,start_time"]
    probed = subprocess.run(
        [*command, "-of", "csv=p=0", f"{base}/recording.mp4"], capture_output=True, check=True
    )
    begins, length = map(float, probed.stdout.decode().split(","))
    assert (begins, round(length, 1)) == (0.0, round(made.frames / made.rate, 1))
