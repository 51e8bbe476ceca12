"""Screens, films and devices as they come: in any shape and colours, people see the same."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from av import VideoFrame

from tests.fmp4.media import frames_of
from tests.live.sentinel.test_screen import Screen, eventually
from tests.rigs.needs import need
from vidlink.errors import CaptureError, UserMistake
from vidlink.fmp4 import write_fragment
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.device import DeviceSource
from vidlink.sentinel.sources.file import FileSource
from vidlink.sentinel.sources.screen import ScreenSource

#: By so much each of red, green and blue may be another.
NEAR = 12
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (128, 128, 128)
SMALL, LARGE = "320x180", "1280x720"
#: Where a tkhd says that a picture is to be shown as it is (ISO/IEC 14496-12).
IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def recorded(source: ISource) -> VideoFrame:
    """The picture of a source as it is recorded, read by FFmpeg."""
    source.open()
    picture = source.grab(1.0)
    encoder = EncoderSettings("libx264").open(picture.width, picture.height)
    data = encoder.encode(picture, 0, True)
    film = encoder.init + write_fragment(
        sequence=0, decode_time=0, duration=1, keyframe=True, data=data
    )
    source.close()
    encoder.close()
    (frame,) = frames_of(film)
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 1), "it is labelled as BT.709"
    return frame


def colour_at(frame: VideoFrame, x: float, y: float) -> tuple[int, ...]:
    """Red, green and blue of a picture, at a place from 0 to 1 in both directions."""
    plane = frame.reformat(format="rgb24").planes[0]
    at = int(y * frame.height) * plane.line_size + 3 * int(x * frame.width)
    return tuple(bytes(plane)[at : at + 3])


def shows(source: ISource, wanted: tuple[int, ...]) -> bool:
    """True if what is recorded has this colour where the window is."""
    return is_near(colour_at(recorded(source), 0.3, 0.3), wanted)


def is_near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """True if nobody sees a difference."""
    return max(abs(one - other) for one, other in zip(found, wanted, strict=True)) <= NEAR


def made(path: Path, filters: str, *options: str) -> Path:
    """A film of one second by a stock FFmpeg, of what `filters` draw, encoded with `options`."""
    still = ["-frames:v", "1"] if path.suffix in (".png", ".jpg", ".bmp") else []
    source = ["-f", "lavfi", "-i", f"{filters}"]
    command = [need("ffmpeg"), "-v", "error", "-y", *source, *options, *still, str(path)]
    subprocess.run(command, check=True)
    return path


def corners(frame: VideoFrame) -> str:
    """The colours of the four corners: top left, top right, bottom left, bottom right."""
    places = ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9))
    return "".join("B" if is_near(colour_at(frame, x, y), BLUE) else "r" for x, y in places)


@pytest.mark.parametrize("depth", [8, 15, 16, 24])
@pytest.mark.parametrize("size", ["800x600", "801x601"])
def test_screen(depth: int, size: str) -> None:
    """A screen of any depth is recorded in its own colours, in any size, also after it changes."""
    screen = Screen(size, depth=depth)
    source = ScreenSource("x11grab", screen.display)
    try:
        for name, wanted in {"#ff0000": RED, "#0000ff": BLUE, "#808080": GREY}.items():
            with screen.window(name):
                eventually(partial(shows, source, wanted))
    finally:
        source.close()
        screen.end()


def test_screen_of_numbers_goes_on() -> None:
    """A screen 8 bits deep is looked at anew like any other, and its end is told in a sentence."""
    screen = Screen(depth=8)
    source = ScreenSource("x11grab", screen.display)
    with screen.window("#ff0000"):
        eventually(partial(shows, source, RED))
        for seconds in (1.0, 20.0, 40.0):
            assert is_near(colour_at(source.grab(seconds), 0.3, 0.3), RED)
    screen.end()
    with pytest.raises(CaptureError, match="the screen :"):
        source.grab(41.0)
    source.close()


def test_deep_screen() -> None:
    """A screen that FFmpeg cannot read is refused in a sentence that says what to do."""
    screen = Screen(depth=30)
    try:
        with pytest.raises(UserMistake, match="depth that cannot be captured: set it to 24 bits"):
            ScreenSource("x11grab", screen.display).open()
    finally:
        screen.end()


_MATRIX = "scale=out_color_matrix="


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("rgb.png", SMALL, "-pix_fmt rgb24"),
        ("alpha.png", SMALL, "-pix_fmt rgba"),
        ("palette.png", SMALL, "-pix_fmt pal8"),
        ("deep.png", SMALL, "-pix_fmt rgb48be"),
        ("odd.png", "321x181", "-pix_fmt rgb24"),
        ("palette.gif", SMALL, ""),
        ("sixteen.bmp", SMALL, "-pix_fmt rgb565le"),
        ("full.jpg", LARGE, "-q:v 2 -pix_fmt yuvj444p"),
        ("plain.mp4", SMALL, "-pix_fmt yuv420p"),
        ("ten.mp4", SMALL, "-pix_fmt yuv420p10le"),
        ("full.mp4", SMALL, "-pix_fmt yuvj420p"),
        ("rgb.mp4", SMALL, "-c:v libx264rgb -qp 1"),
        ("small-709.mp4", SMALL, f"-vf {_MATRIX}bt709 -colorspace bt709 -pix_fmt yuv420p"),
        ("large-601.mp4", LARGE, f"-vf {_MATRIX}bt601 -colorspace smpte170m -pix_fmt yuv420p"),
        ("large-unsaid.mp4", LARGE, f"-vf {_MATRIX}bt709 -pix_fmt yuv420p"),
        ("240m.mp4", SMALL, f"-vf {_MATRIX}smpte240m -colorspace smpte240m -pix_fmt yuv444p"),
        ("2020.mp4", LARGE, f"-vf {_MATRIX}bt2020nc -colorspace bt2020nc -pix_fmt yuv420p10le"),
        ("raw.nut", SMALL, "-c:v rawvideo -pix_fmt yuyv422"),
        ("numbers.nut", SMALL, "-c:v rawvideo -pix_fmt rgb8"),
    ],
)
def test_colours(tmp_path: Path, name: str, size: str, options: str) -> None:
    """Red is red, whatever pixels, matrix and range a film has."""
    path = made(tmp_path / name, f"color=red:s={size}:d=1:r=5,format=gbrp", *options.split())
    frame = recorded(FileSource(str(path)))
    assert is_near(colour_at(frame, 0.5, 0.5), RED)


def test_grey(tmp_path: Path) -> None:
    """A film without colours has none."""
    grey = made(tmp_path / "grey.png", f"color=gray:s={SMALL}:d=1", "-pix_fmt", "gray")
    assert is_near(colour_at(recorded(FileSource(str(grey))), 0.5, 0.5), GREY)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_device(size: str) -> None:
    """A device whose pictures were never coded means BT.601 if it does not say, in any size."""
    frame = recorded(DeviceSource("lavfi", f"color=red:s={size}:r=5"))
    assert is_near(colour_at(frame, 0.5, 0.5), RED)


def test_unknown_matrix(tmp_path: Path) -> None:
    """Colours that cannot be converted are a fault that says so."""
    path = made(
        tmp_path / "far.mp4", f"color=red:s={SMALL}:d=1",
        "-colorspace", "ycgco", "-pix_fmt", "yuv444p",
    )  # fmt: skip
    with pytest.raises(CaptureError, match=r"pictures of this kind .* cannot be converted"):
        recorded(FileSource(str(path)))


@pytest.mark.parametrize(
    ("matrix", "seen", "shape"),
    [
        ((1, 0, 0, 1), "Brrr", (320, 180)),
        ((0, 1, -1, 0), "rBrr", (180, 320)),
        ((-1, 0, 0, -1), "rrrB", (320, 180)),
        ((0, -1, 1, 0), "rrBr", (180, 320)),
        ((-1, 0, 0, 1), "rBrr", (320, 180)),
        ((1, 0, 0, -1), "rrBr", (320, 180)),
        ((0, 1, 1, 0), "Brrr", (180, 320)),
        ((0, -1, -1, 0), "rrrB", (180, 320)),
    ],
)
@pytest.mark.parametrize("colours", ["smpte170m", "bt709"])
def test_turned(
    tmp_path: Path, matrix: tuple[int, ...], seen: str, shape: Any, colours: str
) -> None:
    """A film that is to be turned or mirrored is, and keeps its colours."""
    word = {"smpte170m": "bt601"}.get(colours, colours)
    plain = made(
        tmp_path / "plain.mp4",
        f"color=red:s={SMALL}:d=1:r=5,format=gbrp,drawbox=0:0:128:72:blue:fill",
        "-vf", f"{_MATRIX}{word}", "-colorspace", colours, "-pix_fmt", "yuv420p",
    ).read_bytes()  # fmt: skip
    a, b, c, d = (way << 16 for way in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    at = plain.index(IDENTITY, plain.index(b"tkhd"))
    path = tmp_path / "turned.mp4"
    path.write_bytes(plain[:at] + turned + plain[at + len(turned) :])
    frame = recorded(FileSource(str(path)))
    assert (frame.width, frame.height) == shape
    assert corners(frame) == seen
    assert is_near(colour_at(frame, 0.5, 0.5), RED)


@pytest.mark.parametrize("aspect", ["16/15", "4/3", "1/2", "9/10", "1/1"])
@pytest.mark.parametrize("kind", ["film.mp4", "bt709.mp4", "palette.png", "device"])
def test_stretched(tmp_path: Path, aspect: str, kind: str) -> None:
    """Pixels that are no squares become squares: nothing is thinner or wider than it was meant."""
    drawn = f"color=red:s={SMALL}:d=1:r=5,format=rgb24,drawbox=0:0:128:72:blue:fill,setsar={aspect}"
    pixels = "pal8" if kind == "palette.png" else "yuv420p"
    if kind == "device":
        source: ISource = DeviceSource("lavfi", drawn)
    else:
        said = ["-vf", f"{_MATRIX}bt709", "-colorspace", "bt709"] if kind == "bt709.mp4" else []
        source = FileSource(str(made(tmp_path / kind, drawn, *said, "-pix_fmt", pixels)))
    frame = recorded(source)
    wanted = Fraction(320, 180) * Fraction(aspect)
    assert abs(frame.width - frame.height * wanted) <= 4
    assert frame.width % 2 == frame.height % 2 == 0
    assert corners(frame) == "Brrr"
    assert is_near(colour_at(frame, 0.5, 0.5), RED)
