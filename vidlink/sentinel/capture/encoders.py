"""The choice of an encoder: `--encoder`, `--bitrate` and `--max-size` as an open `H264Encoder`.

What each of FFmpeg's H.264 encoders must be told so that it gives every frame at once, a
keyframe only when asked, and no more than its share of the network, stands in one table here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from av import VideoFrame
from av.codec import Codec

from vidlink.errors import CaptureError, UserMistake
from vidlink.sentinel.capture.encoder import TIMESCALE, H264Encoder, fitted

AUTO = "auto"
SOFTWARE = "libx264"
BITS_PER_SECOND = 4_000_000
MAX_SIZE = (1920, 1080)

_NEVER = "1000000000"
_PROBE_SIZE = (640, 360)

# Best first: what `auto` tries before it falls back to software.
_HARDWARE = {
    "h264_nvenc": {
        "preset": "p4",
        "tune": "ull",
        "rc": "vbr",
        "cq": "25",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
        "no-scenecut": "1",
        "profile": "baseline",
    },
    "h264_qsv": {
        "preset": "veryfast",
        "async_depth": "1",
        "forced_idr": "1",
        "look_ahead": "0",
        "scenario": "displayremoting",
        "profile": "baseline",
    },
    "h264_amf": {
        "usage": "ultralowlatency",
        "quality": "speed",
        "forced_idr": "1",
        "profile": "constrained_baseline",
    },
    "h264_videotoolbox": {"realtime": "1", "prio_speed": "1", "profile": "baseline"},
    "h264_mf": {"hw_encoding": "1", "scenario": "display_remoting"},
    "h264_v4l2m2m": {},
}
_X264 = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "profile": "baseline",
    # One slice, one thread: better compression, and other programs keep their cores.
    "threads": "1",
    # Finer, and a picture that does not change costs a residue of kilobytes for ever.
    "crf": "25",
    "sc_threshold": "0",
    "forced-idr": "1",
}


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """The encoder, the size and the rate for pictures.

    `name` is FFmpeg's name of an H.264 encoder, or ``auto``: hardware if some really works,
    else libx264. Pictures are scaled down to `max_width` x `max_height`, never up. Over a few
    seconds no more than `bits_per_second` are sent at five frames a second; at lower rates
    it is less in proportion, because every frame may have the same size.
    """

    name: str = AUTO
    max_width: int = MAX_SIZE[0]
    max_height: int = MAX_SIZE[1]
    bits_per_second: int = BITS_PER_SECOND

    def check(self) -> None:
        """Try the encoder out.

        :raises UserMistake: if it does not work here; the text lists those that do.
        """
        if self.name == AUTO:
            usable = usable_hardware() is not None or _works(SOFTWARE)
        else:
            usable = _works(self.name)
        if not usable:
            names = [name for name in (SOFTWARE, *_HARDWARE) if _works(name)]
            choice = ", ".join([AUTO, *names]) if names else "none at all"
            raise UserMistake(f"the encoder {self.name!r} does not work here; what does: {choice}")

    def open(self, width: int, height: int) -> H264Encoder:
        """Open an encoder for pictures of this size.

        :raises CaptureError: if it cannot be opened (any more).
        """
        hardware = usable_hardware() if self.name == AUTO else None
        if hardware is not None:
            try:
                return self._opened(hardware, width, height)
            except CaptureError:
                # Some cards encode only so many streams at once.
                return self._opened(SOFTWARE, width, height)
        return self._opened(SOFTWARE if self.name == AUTO else self.name, width, height)

    def _opened(self, name: str, width: int, height: int) -> H264Encoder:
        size = fitted(width, height, self.max_width, self.max_height)
        options = _options(name, self.bits_per_second)
        return H264Encoder(name, options, _pixel_format(name), (width, height), size)


@cache
def usable_hardware() -> str | None:
    """The best hardware encoder that works on this machine; looked for once."""
    return next((name for name in _HARDWARE if _works(name)), None)


def _options(name: str, bits_per_second: int) -> dict[str, str]:
    """FFmpeg's options for an encoder."""
    options = {
        "g": _NEVER,
        "bf": "0",
        "maxrate": str(bits_per_second),
        "bufsize": str(2 * bits_per_second),
    }
    if name == SOFTWARE:
        return options | _X264
    return options | {"b": str(bits_per_second)} | _HARDWARE.get(name, {})


def _pixel_format(name: str) -> str:
    """The format that the encoder takes, of two that hold the same: yuv420p and nv12.

    :raises CaptureError: if there is no such encoder of H.264, or it takes neither.
    """
    try:
        codec = Codec(name, "w")
    except ValueError:
        raise CaptureError(f"there is no encoder {name!r}") from None
    formats = {form.name for form in codec.video_formats or ()}
    for wanted in ("yuv420p", "nv12"):
        if wanted in formats and codec.canonical_name == "h264":
            return wanted
    raise CaptureError(f"{name!r} is no encoder of H.264 that takes pictures from memory")


def _works(name: str) -> bool:
    """Try whether an encoder gives every frame at once, and keyframes when told to."""
    width, height = _PROBE_SIZE
    try:
        encoder = EncoderSettings(name)._opened(name, width, height)
    except CaptureError:
        return False
    try:
        for number, keyframe in enumerate((True, False, True)):
            encoder.encode(VideoFrame(width, height, "yuv420p"), number * TIMESCALE, keyframe)
    except CaptureError:
        return False
    finally:
        encoder.close()
    return True
