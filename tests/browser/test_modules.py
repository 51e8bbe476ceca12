"""The page's modules for bytes and clocks, in the browser, against what Python writes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from struct import pack, unpack
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route

import vidlink
from tests.browser.conftest import in_browser_thread
from tests.fakes.media import init_segment
from vidlink.fmp4 import iter_boxes, read_fragment, read_init, write_fragment
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

FOLDER = Path(vidlink.__file__).parent / "page"
ORIGIN = "http://modules.test"
TIMESCALE = 90_000
#: What the page does not know of a segment it takes from here.
MEDIA = {"timescale": TIMESCALE, "defaultDuration": 18_000}

_FROM_BASE64 = "const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
_TO_BASE64 = (
    "const base64 = (data) => btoa(Array.from(data, (n) => String.fromCharCode(n)).join(''));"
)


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A blank page in whose origin the modules of the page lie, without any server."""

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN + "/")
        if name:
            route.fulfill(path=FOLDER / name, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")

    def begin() -> Page:
        page = browser.new_context().new_page()
        page.route(f"{ORIGIN}/**", serve)
        page.goto(ORIGIN)
        return page

    page = in_browser_thread(begin)
    yield page
    in_browser_thread(page.context.close)


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


def stretch(page: Page, data: bytes, seconds: float) -> bytes:
    """What fmp4.js makes of a segment whose last frame shall last so long."""
    found = page.evaluate(
        f"""async ([data, seconds, media]) => {{
            {_FROM_BASE64} {_TO_BASE64}
            const {{ stretch }} = await import("/fmp4.js");
            return base64(stretch(bytes(data), seconds, media));
        }}""",
        [text(data), seconds, MEDIA],
    )
    return base64.b64decode(found)


def move(page: Page, data: bytes, seconds: float) -> bytes:
    """What fmp4.js makes of a segment that shall begin there."""
    found = page.evaluate(
        f"""async ([data, seconds, media]) => {{
            {_FROM_BASE64} {_TO_BASE64}
            const {{ move }} = await import("/fmp4.js");
            const segment = bytes(data);
            move(segment, seconds, media);
            return base64(segment);
        }}""",
        [text(data), seconds, MEDIA],
    )
    return base64.b64decode(found)


def locate(page: Page, data: bytes) -> Any:
    """Where fmp4.js finds the first and the newest frame, and the end, in seconds."""
    return page.evaluate(
        f"""async ([data, media]) => {{ {_FROM_BASE64}
            return (await import("/fmp4.js")).locate(bytes(data), media); }}""",
        [text(data), MEDIA],
    )


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


def test_init_gives_timescale_and_default_duration(modules: Page) -> None:
    """The page reads from an initialization segment what Python reads."""
    data = init_segment()
    found = modules.evaluate(
        f"""async (data) => {{ {_FROM_BASE64}
            return (await import("/fmp4.js")).readInit(bytes(data)); }}""",
        text(data),
    )
    expected = read_init(data)
    assert found == {
        "timescale": expected.timescale,
        "defaultDuration": expected.default_sample_duration,
    }


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


def foreign_fragment(
    frames: list[bytes], tfhd_duration: int | None, trun_durations: list[int] | None
) -> bytes:
    """A segment of several frames as another muxer might lay it out, `tfdt` in 32 bits."""
    flags = 0x01 | 0x200 | (0x100 if trun_durations is not None else 0)

    def trun(data_offset: int) -> bytes:
        cells = b""
        for number, frame in enumerate(frames):
            if trun_durations is not None:
                cells += pack("!I", trun_durations[number])
            cells += pack("!I", len(frame))
        return box(b"trun", pack("!IIi", flags, len(frames), data_offset), cells)

    default = b"" if tfhd_duration is None else pack("!I", tfhd_duration)
    tfhd_flags = 0x020000 | (0 if tfhd_duration is None else 0x8)
    tfhd = box(b"tfhd", pack("!II", tfhd_flags, 1), default)
    tfdt = box(b"tfdt", pack("!II", 0, TIMESCALE))

    def moof(data_offset: int) -> bytes:
        return box(
            b"moof",
            box(b"mfhd", pack("!II", 0, 1)),
            box(b"traf", tfhd, tfdt, trun(data_offset)),
        )

    size = len(moof(0))
    return moof(size + 8) + box(b"mdat", *frames)


def media_info(default_duration: int = 18_000) -> MediaInfo:
    """An initialization segment's facts, as Python reads them."""
    return MediaInfo("avc1.42C01F", 640, 360, TIMESCALE, 1, default_duration, 0)


def frames_of(data: bytes) -> tuple[list[bytes], list[int]]:
    """The frames that the one `trun` of a segment with sizes points at, and their durations."""
    moof = next(each for each in iter_boxes(data) if each.kind == b"moof")
    traf = next(each for each in iter_boxes(data, moof.body, moof.end) if each.kind == b"traf")
    run = next(each for each in iter_boxes(data, traf.body, traf.end) if each.kind == b"trun")
    flags, count, offset = unpack("!IIi", data[run.body : run.body + 12])
    place, cell = moof.start + offset, run.body + 12
    frames: list[bytes] = []
    durations: list[int] = []
    for _ in range(count):
        if flags & 0x100:
            durations += unpack("!I", data[cell : cell + 4])
            cell += 4
        (size,) = unpack("!I", data[cell : cell + 4])
        cell += 8 if flags & 0x400 else 4
        frames.append(data[place : place + size])
        place += size
    return frames, durations


def test_the_last_frame_of_our_own_segment_is_stretched_in_place(modules: Page) -> None:
    """Only its duration changes."""
    data = own_fragment()
    found = stretch(modules, data, 60)
    before, after = read_fragment(data, media_info()), read_fragment(found, media_info())
    assert after.duration == 60 * TIMESCALE
    assert (after.decode_time, after.sequence) == (before.decode_time, before.sequence)
    assert len(found) == len(data)
    assert sum(one != other for one, other in zip(data, found, strict=True)) <= 4


def test_a_segment_is_moved_in_place(modules: Page) -> None:
    """Only its decode time changes, beyond 32 bits too."""
    data = own_fragment()
    found = move(modules, data, 100_000)
    before, after = read_fragment(data, media_info()), read_fragment(found, media_info())
    assert after.decode_time == 100_000 * TIMESCALE > 2**32
    assert (after.duration, after.sequence) == (before.duration, before.sequence)
    assert sum(one != other for one, other in zip(data, found, strict=True)) <= 8
    short = move(modules, foreign_fragment([b"one"], 9_000, None), 2)
    assert read_fragment(short, media_info()).decode_time == 2 * TIMESCALE


def test_a_segment_is_located_in_seconds(modules: Page) -> None:
    """First and newest frame and the end are told, for one frame and for several."""
    start = (2**33 + 5) / TIMESCALE
    found = locate(modules, own_fragment())
    assert found["first"] == found["newest"] == start
    assert found["end"] == pytest.approx(start + 0.2)
    several = foreign_fragment([b"one", b"two", b"three"], None, [9_000, 9_000, 18_000])
    expected = {"first": 1.0, "newest": 1.2, "end": 1.4}
    assert locate(modules, several) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tfhd_duration", "trun_durations", "expected"),
    [
        (None, [9_000, 9_000, 18_000], [9_000, 9_000, 10 * TIMESCALE]),
        (9_000, None, [9_000, 9_000, 10 * TIMESCALE]),
        (None, None, [18_000, 18_000, 10 * TIMESCALE]),
    ],
)
def test_only_the_last_of_several_frames_is_stretched(
    modules: Page,
    tfhd_duration: int | None,
    trun_durations: list[int] | None,
    expected: list[int],
) -> None:
    """Wherever durations come from, the frames before keep theirs, and all keep their bytes."""
    frames = [b"one", b"three", b"fifteen"]
    found = stretch(modules, foreign_fragment(frames, tfhd_duration, trun_durations), 10)
    assert frames_of(found) == (frames, expected)
    read = read_fragment(found, media_info())
    assert (read.duration, read.last_sample_duration) == (sum(expected), expected[-1])


@pytest.mark.parametrize("tfhd_duration", [9_000, None])
def test_one_frame_under_a_default_is_stretched(modules: Page, tfhd_duration: int | None) -> None:
    """A default that one frame alone uses may change; one in the init segment cannot."""
    found = stretch(modules, foreign_fragment([b"one"], tfhd_duration, None), 10)
    assert read_fragment(found, media_info()).duration == 10 * TIMESCALE
    assert frames_of(found)[0] == [b"one"]


def test_what_is_no_segment_is_a_typed_error(modules: Page) -> None:
    """Every prefix, and boxes of impossible sizes, give a MediaError and never hang."""
    data = own_fragment()
    end_of_moof = data.index(b"mdat") - 4
    broken = [data[:size] for size in range(end_of_moof)]
    broken.append(pack("!I4s", 4, b"moof") + data[8:])
    broken.append(pack("!I4s", 2**32 - 1, b"moof") + data[8:])
    place = data.index(b"trun") + 8
    broken.append(data[:place] + pack("!I", 2**32 - 1) + data[place + 4 :])
    names = modules.evaluate(
        f"""async ([segments, media]) => {{
            {_FROM_BASE64}
            const {{ locate, stretch, MediaError }} = await import("/fmp4.js");
            return segments.map((segment) => {{
                try {{ locate(stretch(bytes(segment), 10, media), media); return "no error"; }}
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
