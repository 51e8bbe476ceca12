"""The page's modules for bytes and clocks, in the browser, against what Python writes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from struct import pack
from typing import Any

import pytest
from playwright.sync_api import Error, Page

from tests.fakes.media import init_segment
from vidlink.fmp4 import read_fragment, read_init, write_fragment
from vidlink.fmp4.init import MediaInfo
from vidlink.messages import (
    Clock,
    FramerateChange,
    KeyframeRequest,
    Message,
    ProctorRegister,
    Subscribe,
    Unsubscribe,
)
from vidlink.model import InitSegment, Segment
from vidlink.wire.binary import BinaryCodec

TIMESCALE = 90_000
NON_SYNC = 0x01010000
SYNC = 0x02000000
#: What the page does not know of a segment it takes from here.
MEDIA = {
    "timescale": TIMESCALE,
    "trackId": 1,
    "description": 1,
    "duration": 18_000,
    "size": 3,
    "flags": NON_SYNC,
}

_FROM_BASE64 = "const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
_TO_BASE64 = (
    "const base64 = (data) => btoa(Array.from(data, (n) => String.fromCharCode(n)).join(''));"
)


def text(data: bytes) -> str:
    """Octets as base64."""
    return base64.b64encode(data).decode()


def parse_media(page: Page, payload: bytes) -> dict[str, Any]:
    """What wire.js reads in a binary frame."""
    found: dict[str, Any] = page.evaluate(
        f"""async (payload) => {{
            {_FROM_BASE64} {_TO_BASE64}
            const {{ parseMedia }} = await import("/wire.js");
            const message = parseMedia(bytes(payload).buffer);
            return {{ ...message, data: base64(message.data) }};
        }}""",
        text(payload),
    )
    return found


def read_frames(page: Page, data: bytes, media: dict[str, int] = MEDIA) -> list[dict[str, Any]]:
    """What fmp4.js finds in a segment, frame by frame."""
    found: list[dict[str, Any]] = page.evaluate(
        f"""async ([data, media]) => {{
            {_FROM_BASE64} {_TO_BASE64}
            const {{ readFrames }} = await import("/fmp4.js");
            return readFrames(bytes(data), media)
                .map((frame) => ({{ ...frame, data: base64(frame.data) }}));
        }}""",
        [text(data), media],
    )
    return [{**frame, "data": base64.b64decode(frame["data"])} for frame in found]


def rewrite(page: Page, data: bytes, places: list[dict[str, float]]) -> list[bytes]:
    """The frames of a segment, each as fmp4.js writes it at one of these places."""
    found = page.evaluate(
        f"""async ([data, places, media]) => {{
            {_FROM_BASE64} {_TO_BASE64}
            const {{ readFrames, writeFrame }} = await import("/fmp4.js");
            return readFrames(bytes(data), media)
                .map((frame, n) => base64(writeFrame(frame, places[n], media)));
        }}""",
        [text(data), places, MEDIA],
    )
    return [base64.b64decode(one) for one in found]


SESSION_ID = "s-" + "0123456789abcdef"


@pytest.mark.parametrize(
    "segment",
    [
        Segment("desk-12", SESSION_ID, 0, 0, 200, 5_000, True, b"\0"),
        Segment("a", SESSION_ID, 2**32 - 1, -1, 2**32 - 1, 1_000_000, False, b"\xff" * 9, True),
        Segment("A.b_c-" + "9" * 58, "x" * 64, 7, 2**53 - 1, 5_000, 200, False, bytes(range(256))),
    ],
)
def test_a_segment_reads_as_python_wrote_it(modules: Page, segment: Segment) -> None:
    """Every field of the header comes out of the page's parser as it went into the codec."""
    payload, _ = BinaryCodec().encode(segment)
    assert parse_media(modules, payload) == {
        "type": "segment",
        "sentinelId": segment.sentinel_id,
        "sessionId": segment.session_id,
        "sequence": segment.sequence,
        "startTimeUs": segment.start_time_us,
        "durationMs": segment.duration_ms,
        "framerate": segment.framerate_mhz / 1000,
        "keyframe": segment.is_keyframe,
        "late": segment.is_late,
        "data": text(bytes(segment.data)),
    }


def test_an_init_reads_as_python_wrote_it(modules: Page) -> None:
    """An initialization segment keeps its ids and its bytes."""
    payload, _ = BinaryCodec().encode(InitSegment("desk-12", SESSION_ID, b"ftypmoov"))
    found = parse_media(modules, payload)
    assert (found["type"], found["sentinelId"], found["sessionId"], found["data"]) == (
        "init",
        "desk-12",
        SESSION_ID,
        text(b"ftypmoov"),
    )


def test_a_broken_binary_frame_is_a_typed_error(modules: Page) -> None:
    """Any prefix of the header and every field out of its range is a WireError, nothing else."""
    segment = Segment("desk-12", SESSION_ID, 1, 1, 200, 5_000, True, b"\0")
    whole, _ = BinaryCodec().encode(segment)
    head = len(whole) - 1
    broken = [whole[:size] for size in range(head + 1)]
    broken += [
        bytes([3]) + whole[1:],
        whole[:1] + bytes([4]) + whole[2:],
        bytes([1, 1]) + whole[2:],
        whole[:8] + pack("!Q", 2**32) + whole[16:],
        whole[:16] + pack("!q", 2**53) + whole[24:],
        whole[:28] + b"/" + whole[29:],
        whole[:35] + b"." + whole[36:],
    ]
    names = modules.evaluate(
        f"""async (frames) => {{
            {_FROM_BASE64}
            const {{ parseMedia, WireError }} = await import("/wire.js");
            return frames.map((frame) => {{
                try {{ parseMedia(bytes(frame).buffer); return "no error"; }}
                catch (error) {{ return error instanceof WireError ? "WireError" : error.name; }}
            }});
        }}""",
        [text(frame) for frame in broken],
    )
    assert names == ["WireError"] * len(broken)


@pytest.mark.parametrize("frame", ["", "{", "[]", "null", '"clock"', "{}", '{"type":"ack"}'])
def test_a_broken_text_frame_is_a_typed_error(modules: Page, frame: str) -> None:
    """What is not JSON, or has no type that a proctor knows, is a WireError."""
    with pytest.raises(Error, match=r"WireError|a text frame|a message has no type"):
        modules.evaluate("async (t) => (await import('/wire.js')).parseText(t)", frame)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("register('page')", ProctorRegister("page")),
        ("subscribe('desk-12')", Subscribe("desk-12")),
        ("unsubscribe('desk-12')", Unsubscribe("desk-12")),
        ("requestKeyframe('desk-12')", KeyframeRequest("desk-12")),
        ("changeFramerate('desk-12', 0.2)", FramerateChange("desk-12", 200)),
        ("askClock(1795419640617778)", Clock(1_795_419_640_617_778)),
    ],
)
def test_what_the_page_says_is_understood(modules: Page, call: str, message: Message) -> None:
    """What the page can say is, to the server's codec, the message that was meant."""
    said = modules.evaluate(f"async () => (await import('/wire.js')).{call}")
    assert BinaryCodec().decode(said.encode(), False) == message


def test_init_gives_what_segments_leave_out(modules: Page) -> None:
    """The page reads from an initialization segment what Python reads, and makes it its own: the
    track counts in the ticks that the page writes, and no edit list moves its frames."""
    data = init_segment()
    found, adopted = modules.evaluate(
        f"""async (data) => {{ {_FROM_BASE64} {_TO_BASE64}
            const adopted = bytes(data);
            const media = (await import("/fmp4.js")).adoptInit(adopted);
            return [media, base64(adopted)]; }}""",
        text(data),
    )
    expected = read_init(data)
    assert found == {
        "timescale": expected.timescale,
        "trackId": expected.track_id,
        "description": 1,
        "duration": expected.default_sample_duration,
        "size": expected.default_sample_size_bytes,
        "flags": expected.default_sample_flags,
    }
    after = read_init(base64.b64decode(adopted))
    assert after.timescale == 90_000
    assert b"edts" not in base64.b64decode(adopted)


def own_fragment() -> bytes:
    """A segment as the sentinel writes it."""
    return write_fragment(
        sequence=7,
        decode_time=2**33 + 5,
        duration=18_000,
        keyframe=True,
        data=b"picture",
        producer_time_us=1_795_419_640_617_778,
    )


def box(kind: bytes, *content: bytes) -> bytes:
    """A box with these contents."""
    body = b"".join(content)
    return pack("!I4s", len(body) + 8, kind) + body


def run(
    frames: list[bytes],
    *,
    offset: int | None,
    durations: list[int] | None = None,
    sizes: bool = True,
    flags: list[int] | None = None,
    first_flags: int | None = None,
    composition: list[int] | None = None,
) -> bytes:
    """A `trun` of version 1 with the columns that are given."""
    bits = {0x1: offset, 0x4: first_flags, 0x100: durations, 0x400: flags, 0x800: composition}
    word = sum(bit for bit, value in bits.items() if value is not None) | (0x200 if sizes else 0)
    content = pack("!II", 0x01000000 | word, len(frames))
    content += b"" if offset is None else pack("!i", offset)
    content += b"" if first_flags is None else pack("!I", first_flags)
    for number, frame in enumerate(frames):
        content += b"" if durations is None else pack("!I", durations[number])
        content += pack("!I", len(frame)) if sizes else b""
        content += b"" if flags is None else pack("!I", flags[number])
        content += b"" if composition is None else pack("!i", composition[number])
    return box(b"trun", content)


def foreign_fragment(
    frames: list[bytes], runs: Callable[[int], list[bytes]], tfhd: bytes | None = None
) -> bytes:
    """A segment as another muxer might lay it out, `tfdt` in 32 bits.

    :param runs: the `trun`s, given the place of the first frame behind the start of `moof`.
    """
    head = box(b"tfhd", pack("!II", 0x020000, 1) if tfhd is None else tfhd)
    tfdt = box(b"tfdt", pack("!II", 0, TIMESCALE))

    def moof(place: int) -> bytes:
        return box(
            b"moof",
            box(b"mfhd", pack("!II", 0, 1)),
            box(b"traf", head, tfdt, *runs(place)),
        )

    return moof(len(moof(0)) + 8) + box(b"mdat", *frames)


def media_info() -> MediaInfo:
    """An initialization segment's facts, as Python reads them."""
    return MediaInfo("avc1.42C01F", 640, 360, TIMESCALE, 1, 18_000, 0)


FRAMES = [b"one", b"two", b"six", b"ten"]


def told(frames: list[dict[str, Any]], name: str) -> list[Any]:
    """One thing of all frames; times in ticks."""
    ticks = TIMESCALE if name in ("decode", "shown", "duration") else None
    return [frame[name] if ticks is None else round(frame[name] * ticks) for frame in frames]


def test_our_own_segment_is_one_frame(modules: Page) -> None:
    """Its time, beyond 32 bits too, its duration, its bytes and that it is a keyframe are read."""
    (frame,) = read_frames(modules, own_fragment())
    assert told([frame], "decode") == told([frame], "shown") == [2**33 + 5]
    assert told([frame], "duration") == [18_000]
    assert (frame["isSync"], frame["data"]) == (True, b"picture")


@pytest.mark.parametrize(
    ("tfhd", "columns", "durations", "is_sync"),
    [
        (None, {}, [18_000] * 4, [False] * 4),
        (pack("!III", 0x020008, 1, 9_000), {}, [9_000] * 4, [False] * 4),
        (
            pack("!IIIIII", 0x02003A, 1, 1, 9_000, 3, SYNC),
            {"sizes": False},
            [9_000] * 4,
            [True] * 4,
        ),
        (None, {"first_flags": SYNC}, [18_000] * 4, [True, False, False, False]),
        (
            None,
            {"durations": [1, 2, 3, 4], "flags": [SYNC, NON_SYNC, SYNC, NON_SYNC]},
            [1, 2, 3, 4],
            [True, False, True, False],
        ),
    ],
)
def test_what_frames_do_not_say_is_the_default(
    modules: Page,
    tfhd: bytes | None,
    columns: dict[str, Any],
    durations: list[int],
    is_sync: list[bool],
) -> None:
    """Durations, sizes and flags come from `trun`, else from `tfhd`, else from `trex`."""
    data = foreign_fragment(FRAMES, lambda place: [run(FRAMES, offset=place, **columns)], tfhd)
    frames = read_frames(modules, data)
    assert told(frames, "data") == FRAMES
    assert told(frames, "duration") == durations
    assert told(frames, "isSync") == is_sync
    begins = [TIMESCALE + sum(durations[:n]) for n in range(4)]
    assert told(frames, "decode") == told(frames, "shown") == begins


def test_frames_of_several_runs_are_shown_when_they_say(modules: Page) -> None:
    """A run without an offset follows the one before it; composition offsets may be negative."""
    offsets = [0, 36_000, -18_000, -18_000]

    def runs(place: int) -> list[bytes]:
        return [
            run(FRAMES[:1], offset=place, composition=offsets[:1]),
            run(FRAMES[1:], offset=None, composition=offsets[1:]),
        ]

    frames = read_frames(modules, foreign_fragment(FRAMES, runs))
    assert told(frames, "data") == FRAMES
    decode = [TIMESCALE + 18_000 * n for n in range(4)]
    assert told(frames, "decode") == decode
    assert told(frames, "shown") == [at + by for at, by in zip(decode, offsets, strict=True)]


def test_each_frame_is_written_as_a_segment_of_its_own(modules: Page) -> None:
    """Python reads the times, the length, the flags and the bytes that were meant."""
    flags = [SYNC, NON_SYNC, NON_SYNC, NON_SYNC]
    data = foreign_fragment(FRAMES, lambda place: [run(FRAMES, offset=place, flags=flags)])
    places = [
        {"decode": 100_000.5 + n, "shown": 100_001 - n, "duration": 4 * 3600} for n in range(4)
    ]
    written = rewrite(modules, data, places)
    for number, one in enumerate(written):
        read = read_fragment(one, media_info())
        assert read.decode_time == round(places[number]["decode"] * 90_000)
        assert (read.duration, read.sample_count) == (4 * 3600 * 90_000, 1)
        assert read.is_keyframe == (number == 0)
        assert one.endswith(FRAMES[number])
        (again,) = read_frames(modules, one)
        assert again["shown"] == pytest.approx(places[number]["shown"], abs=1e-5)
        assert (again["data"], again["flags"]) == (FRAMES[number], flags[number])


def test_what_is_no_segment_is_a_typed_error(modules: Page) -> None:
    """Every prefix, boxes of impossible sizes, frames that lie elsewhere or are too many, and an
    offset into a file give a MediaError and never hang."""
    data = own_fragment()
    broken = [data[:size] for size in range(len(data))]
    broken.append(pack("!I4s", 4, b"moof") + data[8:])
    broken.append(pack("!I4s", 2**32 - 1, b"moof") + data[8:])
    place = data.index(b"trun") + 8
    broken.append(data[:place] + pack("!I", 2**32 - 1) + data[place + 4 :])
    broken.append(foreign_fragment(FRAMES, lambda _: [run(FRAMES, offset=-1_000)]))
    broken.append(foreign_fragment(FRAMES, lambda _: [run(FRAMES, offset=1_000)]))
    based = pack("!IIQ", 0x1, 1, 0)
    broken.append(foreign_fragment(FRAMES, lambda at: [run(FRAMES, offset=at)], based))
    broken.append(foreign_fragment(FRAMES, lambda at: [run([], offset=at)]))
    many = [b""] * 10_001
    broken.append(foreign_fragment(many, lambda at: [run(many, offset=at)]))
    names = modules.evaluate(
        f"""async ([segments, media]) => {{
            {_FROM_BASE64}
            const {{ readFrames, MediaError }} = await import("/fmp4.js");
            return segments.map((segment) => {{
                try {{ readFrames(bytes(segment), media); return "no error"; }}
                catch (error) {{ return error instanceof MediaError ? "MediaError" : error.name; }}
            }});
        }}""",
        [[text(segment) for segment in broken], MEDIA],
    )
    assert set(names) == {"MediaError"}


def ask_clock(page: Page, answers: list[dict[str, int]]) -> float:
    """The offset of the server's clock, in seconds, after these answers (`t3` included)."""
    return float(
        page.evaluate(
            """async (answers) => {
                const { ServerClock } = await import("/clock.js");
                const clock = new ServerClock();
                for (const answer of answers) clock.answered(answer, answer.t3);
                return (clock.nowUs() - clock.localUs()) / 1e6;
            }""",
            answers,
        )
    )


def exchange(offset_us: int, there_us: int, back_us: int) -> dict[str, int]:
    """One exchange of `clock` that took so long there and back."""
    return {
        "t0": 0,
        "t1": there_us + offset_us,
        "t2": there_us + offset_us + 10,
        "t3": there_us + 10 + back_us,
    }


def test_the_quickest_answer_tells_the_time(modules: Page) -> None:
    """A slow, lopsided answer before or after a quick one does not move the clock."""
    quick, slow = exchange(3_600_000_000, 500, 500), exchange(3_600_000_000, 80_000, 500)
    assert ask_clock(modules, [slow, quick, slow]) == pytest.approx(3600, abs=0.001)


def test_a_clock_that_was_set_is_followed(modules: Page) -> None:
    """An answer that contradicts all earlier ones replaces them."""
    answers = [exchange(0, 500, 500)] * 8 + [exchange(2_000_000, 900, 900)]
    assert ask_clock(modules, answers) == pytest.approx(2, abs=0.001)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox 128 on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge 126 on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            "Safari 17 on macOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome 126 on Android",
        ),
        ("vidlink/1.0", "vidlink/1.0"),
        ("", "unknown"),
    ],
)
def test_software_in_words(modules: Page, agent: str, words: str) -> None:
    """A browser is called as people call it, other software as it calls itself."""
    found = modules.evaluate("async (agent) => (await import('/words.js')).software(agent)", agent)
    assert found == words
