"""What the connections of a load say, as scripts that `load.c` follows.

A script is made of a message as our own codec writes it, with markers where the load puts what
differs from connection to connection and from message to message. So nothing of a layout is told
twice, and what the server checks is right: numbers, times, ids and boxes.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import media
from vidlink.fmp4 import write_fragment
from vidlink.interfaces import ICodec
from vidlink.messages import Message, ProctorRegister, SentinelRegister, Subscribe
from vidlink.model import InitSegment, Segment
from vidlink.wire.binary import BinaryCodec

_NUMBER, _TICKS, _CLOCK = 0x51525354, 0x0055565758595A5B, 0x00066D6E6F707172
_STREAM, _LIFE = "6789", "5678"
SENTINEL, SESSION = f"desk-{_STREAM}", f"session-{_STREAM}-of-life-{_LIFE}"
#: Each marker, and the step of a script that stands for it.
_STEPS = {
    _TICKS.to_bytes(8): "ticks",
    _CLOCK.to_bytes(8): "clock",
    _NUMBER.to_bytes(4): "number 4",
    str(_CLOCK).encode(): "clock-text",
    str(_NUMBER).encode(): "number-text",
    _STREAM.encode(): "stream",
    _LIFE.encode(): "life",
}
_MARKERS = re.compile(b"|".join(re.escape(marker) for marker in _STEPS))
_TRAILER_OCTETS = 24
#: A NAL unit that decoders pass over.
_FILLER = b"\x0c"


@dataclass(frozen=True, slots=True)
class Scripts:
    """The files that a load is given, by its options; those of messages for the peers alone are
    nothing but filler."""

    options: tuple[str, ...]

    @classmethod
    def write(cls, folder: Path, scripts: dict[str, list[str]]) -> Scripts:
        """Put them into `folder`, a file for each option."""
        options = []
        for name, lines in scripts.items():
            path = folder / f"{name}.script"
            path.write_text("\n".join([*lines, ""]))
            options += [f"--{name}", str(path)]
        return cls(tuple(options))


def plain(size: int, key_size: int) -> dict[str, list[str]]:
    """For a server that passes on whatever comes."""

    def message(octets: int) -> list[str]:
        return ["binary", f"fill {octets - _TRAILER_OCTETS}", "trailer"]

    return {"message": message(size), "key": message(key_size)}


def vidlink(codec: ICodec, size: int, key_size: int, duration_ms: int) -> dict[str, list[str]]:
    """For VidLink: sentinels that write in the format of `codec`, and proctors."""
    register = SentinelRegister(SENTINEL, f"instance-{_STREAM}", "load/1", SESSION)
    return {
        "hello": [
            *_frame(codec, register),
            "wait registered",
            *_frame(codec, InitSegment(SENTINEL, SESSION, media.init_segment())),
        ],
        "greeting": [
            *_frame(BinaryCodec(), ProctorRegister("load/1")),
            "wait registered",
            "each",
            *_frame(BinaryCodec(), Subscribe(SENTINEL)),
        ],
        "message": _segment(codec, size, duration_ms, keyframe=False),
        "key": _segment(codec, key_size, duration_ms, keyframe=True),
    }


def ticks(duration_ms: int) -> int:
    """What media time advances with each segment."""
    return media.TIMESCALE * duration_ms // 1_000


def _segment(codec: ICodec, size: int, duration_ms: int, *, keyframe: bool) -> list[str]:
    """A segment that is `size` octets long in ``vidlink.v1.binary``."""

    def segment(filler: int) -> Segment:
        unit = _FILLER + bytes(filler)
        data = write_fragment(
            sequence=_NUMBER,
            decode_time=_TICKS,
            duration=ticks(duration_ms),
            keyframe=keyframe,
            data=len(unit).to_bytes(4) + unit,
        )
        rate = 1_000_000 // duration_ms
        return Segment(SENTINEL, SESSION, _NUMBER, _CLOCK, duration_ms, rate, keyframe, data)

    filler = size - len(BinaryCodec().encode(segment(0))[0])
    made = segment(filler)
    head = bytes(made.data)[:-filler]
    inside = [*_steps(head), f"fill {filler - _TRAILER_OCTETS}", "trailer"]
    payload, is_binary = codec.encode(made)
    if is_binary:
        return ["binary", *_steps(payload[: -len(made.data)]), *inside]
    before, after = payload.split(base64.b64encode(made.data))
    return ["text", *_steps(before), "base64", *inside, "end", *_steps(after)]


def _frame(codec: ICodec, message: Message) -> list[str]:
    payload, is_binary = codec.encode(message)
    return ["binary" if is_binary else "text", *_steps(payload)]


def _steps(octets: bytes) -> list[str]:
    """The steps that write `octets`, with what differs in the place of each marker."""
    steps, at = [], 0
    for found in _MARKERS.finditer(octets):
        steps += [f"hex {octets[at : found.start()].hex()}", _STEPS[found.group()]]
        at = found.end()
    steps.append(f"hex {octets[at:].hex()}")
    return [step for step in steps if step != "hex "]
