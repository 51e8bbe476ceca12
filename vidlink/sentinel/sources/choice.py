"""The choice of a source: `--source` made into an `ISource`.

The kinds of source are the modules beside this one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial

from av.format import ContainerFormat

from vidlink.errors import UserMistake
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.device import DeviceSource
from vidlink.sentinel.sources.file import FileSource
from vidlink.sentinel.sources.pattern import PatternSource
from vidlink.sentinel.sources.screen import ScreenSource

SOURCES = "screen, test, test:WIDTHxHEIGHT, file:PATH or device:FORMAT:INPUT"
PATTERN_SIZE = (1280, 720)
_SMALLEST, _LARGEST = (128, 72), (7680, 4320)


def make_source(
    text: str,
    *,
    sentinel_id: str,
    platform: str,
    environ: Mapping[str, str],
    wall_clock_us: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
    slept_seconds: Callable[[], float] = lambda: 0.0,
) -> ISource:
    """Make the source that `text` names: one of `SOURCES`. Nothing is opened yet.

    `sentinel_id` is written on the test picture; `platform` is `sys.platform`; both clocks are as
    for a device.

    :raises UserMistake: if there is no such source, or not on this machine.
    """
    kind, _, rest = text.partition(":")
    device = partial(DeviceSource, monotonic=monotonic, slept_seconds=slept_seconds)
    if kind == "screen" and not rest:
        return _screen(platform, environ, device)
    if kind == "test":
        width, height = _size(rest) if rest else PATTERN_SIZE
        return PatternSource(sentinel_id, width, height, wall_clock_us)
    if kind == "file" and rest:
        return FileSource(rest)
    if kind == "device" and ":" in rest:
        format_name, _, input_name = rest.partition(":")
        return device(_known(format_name), input_name)
    raise UserMistake(f"there is no source {text!r}: use {SOURCES}")


def _screen(
    platform: str, environ: Mapping[str, str], device: Callable[..., DeviceSource]
) -> ISource:
    if platform == "win32":
        return ScreenSource("gdigrab", "desktop")
    if platform == "darwin":
        options = {"capture_cursor": "1", "pixel_format": "nv12"}
        return device("avfoundation", "Capture screen 0:none", options)
    display = environ.get("DISPLAY")
    if not display:
        raise UserMistake(
            "there is no screen: DISPLAY is not set; start in a desktop session, or set it"
        )
    return ScreenSource("x11grab", display)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if found is None:
        raise UserMistake(f"the size of the test picture is WIDTHxHEIGHT, not {text!r}")
    width, height = int(found[1]), int(found[2])
    fits = all(
        low <= value <= high and value % 2 == 0
        for value, low, high in zip((width, height), _SMALLEST, _LARGEST, strict=True)
    )
    if not fits:
        raise UserMistake(
            f"the size of the test picture is even, and {_SMALLEST[0]}x{_SMALLEST[1]} to"
            f" {_LARGEST[0]}x{_LARGEST[1]}, not {text!r}"
        )
    return width, height


def _known(format_name: str) -> str:
    try:
        return ContainerFormat(format_name, "r").name
    except ValueError:
        raise UserMistake(f"FFmpeg has no device or format {format_name!r} to read") from None
