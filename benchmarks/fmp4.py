"""The costs of writing and reading a segment, and of encoding a picture.

``python -m benchmarks.fmp4`` from the root of the tree; ends by itself within half a minute. The
best of several rounds counts. The pictures are made up: lines of dark text on a light page, the
hardest that a desktop shows; one core.
"""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable

from av import VideoFrame

from vidlink.fmp4 import (
    Label,
    SampleTable,
    join_avc,
    read_fragment,
    read_init,
    split_annexb,
    write_fragment,
    write_movie,
)
from vidlink.fmp4.walk import read_any_fragment
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.sources.picture import PatternPicture

ROUNDS = 7
ROUND_SECONDS = 0.1
WIDTH, HEIGHT = 1920, 1080
FRAME_BYTES = 10_000
SAMPLES = 180_000
SETTLING_FRAMES = 25  # until the bit rate has let the picture become what it can be


def best_us(call: Callable[[], object]) -> float:
    """Microseconds that one call takes, in the best of several rounds."""
    calls, best = 1, float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        took = time.perf_counter() - began
        best = min(best, took / calls)
        calls = max(1, round(ROUND_SECONDS / best))
    return best * 1e6


def page(seed: int, scrolled: int = 0) -> VideoFrame:
    """A page of text, scrolled by so many rows."""
    chance = random.Random(seed)
    blank, line = b"\xf4" * (4 * WIDTH), bytearray(b"\xf4" * (4 * WIDTH))
    rows: list[bytes] = []
    while len(rows) < HEIGHT + scrolled:
        strokes = [chance.randrange(60, WIDTH - 60) for _ in range(500)]
        for _ in range(12):
            line[:] = blank
            for x in strokes:
                if chance.random() < 0.6:
                    line[4 * x : 4 * x + 8] = b"\x22\x22\x22\0" * 2
            rows.append(bytes(line))
        rows += [blank] * 8
    picture = VideoFrame(WIDTH, HEIGHT, "bgr0")
    picture.planes[0].update(b"".join(rows[scrolled : scrolled + HEIGHT]))
    return picture


def ten_hours() -> SampleTable:
    """Samples of ten hours, no two of them just as long after one another."""
    chance = random.Random(1)
    times = array("Q", (18_000 * number + chance.randrange(900) for number in range(SAMPLES)))
    return SampleTable(
        array("Q", range(140, SAMPLES * FRAME_BYTES, FRAME_BYTES)),
        array("I", (FRAME_BYTES - 140,)) * SAMPLES,
        times,
        array("i"),
        array("I", range(0, SAMPLES, 50)),
        times[-1] + 18_000,
        are_apart=True,
    )


def segments() -> None:
    """The cost of our own bytes."""
    data = bytes(FRAME_BYTES)
    encoder = EncoderSettings("libx264").open(64, 48)
    media = read_init(encoder.init)

    def write() -> bytes:
        return write_fragment(
            sequence=7, decode_time=126_000, duration=18_000, keyframe=False, data=data,
            producer_time_us=1_700_000_000_000_000,
        )  # fmt: skip

    segment = write()
    packet = b"\0\0\0\1\x41" + random.Random(1).randbytes(5 * FRAME_BYTES).replace(b"\0\0", b"\1\1")
    hours = ten_hours()
    for name, call in {
        f"write a segment of {FRAME_BYTES} bytes": write,
        "read it (our layout)": lambda: read_fragment(segment, media),
        "read it box by box (any layout)": lambda: read_any_fragment(segment, media),
        "read an initialization segment": lambda: read_init(encoder.init),
        f"start codes to lengths, {len(packet)} bytes": lambda: join_avc(split_annexb(packet)),
        "head of ten hours (180,000 samples)": lambda: write_movie(
            encoder.init,
            hours,
            media_bytes=SAMPLES * FRAME_BYTES,
            shown=(0, hours.end),
            label=Label(0, ()),
        ),
    }.items():
        print(f"{name:44} {best_us(call):10.2f} us")
    print(f"{'what a segment adds to its frame':44} {len(segment) - FRAME_BYTES:10} bytes")
    encoder.close()


def pictures() -> None:
    """The cost of a picture, by what has changed in it."""
    pages = [page(1), page(2)]
    scrolling = [page(1, 8 * n) for n in range(1, 13)]
    cases: dict[str, tuple[list[VideoFrame], bool]] = {
        "nothing has changed": ([pages[0]] * 12, False),
        "it has scrolled": (scrolling, False),
        "everything is new": ([pages[1], pages[0]] * 6, False),
        "keyframe": ([pages[0]] * 12, True),
    }
    for name, (shots, keyframe) in cases.items():
        encoder = EncoderSettings("libx264").open(WIDTH, HEIGHT)
        encoder.encode(pages[0], 0, True)
        for _ in range(SETTLING_FRAMES):
            encoder.encode(pages[0], 0, False)
        costs, sizes = [], []
        for number, shot in enumerate(shots):
            began = time.thread_time()
            sample = encoder.encode(shot, (number + 1) * 18_000, keyframe)
            costs.append(time.thread_time() - began)
            sizes.append(len(sample))
        encoder.close()
        middle = sorted(costs)[len(costs) // 2]
        print(
            f"{f'encode {WIDTH}x{HEIGHT}: {name}':44} {middle * 1e3:10.2f} ms"
            f" {sorted(sizes)[len(sizes) // 2]:10} bytes"
        )
    pattern = PatternPicture("desk-12", 1280, 720)
    cost = best_us(lambda: pattern.draw(1_700_000_000_000_000, 7)) / 1e3
    print(f"{'draw the test picture, 1280x720':44} {cost:10.2f} ms")


if __name__ == "__main__":
    segments()
    pictures()
