"""Real H.264 in fragmented MP4, recorded once, so that tests of the server need no encoder.

64 x 48 pixels, ten flat greys from dark to light at five frames a second, over and over: by
default every tenth segment is a keyframe segment, and then every picture decodes. Encoding is
:mod:`vidlink.sentinel`'s.
"""

from __future__ import annotations

from base64 import b64decode

from vidlink.fmp4 import write_fragment

#: Ticks a second of the recorded initialization segment.
TIMESCALE = 90_000
#: Ticks, and milliseconds, that one picture is shown.
FRAME_TICKS = 18_000
FRAME_MS = 200
#: Every so many segments a keyframe.
KEYFRAME_EVERY = 10
#: The wall clock of media time 0, unless told otherwise: 2026-01-01, in microseconds.
EPOCH_US = 1_767_225_600_000_000

_FILLER_DATA = 12


def init_segment(note: bytes = b"") -> bytes:
    """The initialization segment.

    With a `note` it carries that in a `free` box (14496-12, 8.1.2): as valid, and not the same.
    """
    if not note:
        return _INIT
    return _INIT + (8 + len(note)).to_bytes(4, "big") + b"free" + note


def is_keyframe(sequence: int) -> bool:
    """Whether segment `sequence` is a keyframe segment unless told otherwise."""
    return sequence % KEYFRAME_EVERY == 0


def start_time_us(sequence: int) -> int:
    """When segment `sequence` was captured unless told otherwise, in microseconds."""
    return EPOCH_US + sequence * FRAME_MS * 1_000


def segment(
    sequence: int,
    *,
    keyframe: bool | None = None,
    media_time: int | None = None,
    duration: int = FRAME_TICKS,
    filler_bytes: int = 0,
) -> bytes:
    """Segment `sequence` of a session: one frame, laid out as the Sentinel does.

    `media_time` (by default what `sequence` is due at) and `duration` are in ticks;
    `filler_bytes` makes it larger by so many, in a NAL unit that decoders pass over.
    """
    intra = is_keyframe(sequence) if keyframe is None else keyframe
    picture = _PICTURES[0 if intra else sequence % KEYFRAME_EVERY or 1]
    units = len(picture).to_bytes(4, "big") + picture
    if filler_bytes:
        filler = bytes((_FILLER_DATA,)) + b"\xff" * (filler_bytes - 1) + b"\x80"
        units += len(filler).to_bytes(4, "big") + filler
    return write_fragment(
        sequence=sequence,
        decode_time=sequence * FRAME_TICKS if media_time is None else media_time,
        duration=duration,
        keyframe=intra,
        data=units,
        producer_time_us=start_time_us(sequence),
    )


_INIT = b64decode(
    "AAAAHGZ0eXBpc281AAACAGlzbzVpc282bXA0MQAAAtVtb292AAAAbG12aGQAAAAAAAAAAAAAAAAAAAPoAAAAAAAB"
    "AAABAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAACAAAB13RyYWsAAABcdGtoZAAAAAMAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAQAAAADAAAAAAAXNtZGlhAAAAIG1kaGQAAAAA"
    "AAAAAAAAAAAAAV+QAAAAAFXEAAAAAAAtaGRscgAAAAAAAAAAdmlkZQAAAAAAAAAAAAAAAFZpZGVvSGFuZGxlcgAA"
    "AAEebWluZgAAABR2bWhkAAAAAQAAAAAAAAAAAAAAJGRpbmYAAAAcZHJlZgAAAAAAAAABAAAADHVybCAAAAABAAAA"
    "3nN0YmwAAACSc3RzZAAAAAAAAAABAAAAgmF2YzEAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAQAAwAEgAAABIAAAA"
    "AAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAY//8AAAAsYXZjQwFCwAr/4QAVZ0LACtoR6EAA"
    "AAMAQAAAAwKjxImoAQAEaM4PyAAAABBzdHRzAAAAAAAAAAAAAAAQc3RzYwAAAAAAAAAAAAAAFHN0c3oAAAAAAAAA"
    "AAAAAAAAAAAQc3RjbwAAAAAAAAAAAAAAKG12ZXgAAAAgdHJleAAAAAAAAAABAAAAAQAAAAAAAAAAAAAAAAAAAGJ1"
    "ZHRhAAAAWm1ldGEAAAAAAAAAIWhkbHIAAAAAAAAAAG1kaXJhcHBsAAAAAAAAAAAAAAAALWlsc3QAAAAlqXRvbwAA"
    "AB1kYXRhAAAAAQAAAABMYXZmNjIuMTIuMTAy"
)

# One NAL unit each: an IDR, and nine pictures that build on it one after the other.
_PICTURES = tuple(
    bytes.fromhex(unit)
    for unit in (
        "65888404bfffff0f4500012dff2727275d75d75d75d780",
        "419a2017f9bfffe1e8a000298bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419a4017f9bfffe1e8a000288bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419a6017f9bfffe1e8a000278bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419a8017f9bfffe1e8a000268bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419aa017f9bfffe1e8a000258bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419ac017f9bfffe1e8a000248bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419ae017f9bfffe1e8a000238bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419b0017f9bfffe1e8a000228bf13e27c4f9fcfe7f3f9fcfe7f3f8",
        "419b2017f9bfffe1e8a000218bf13e27c4f9fcfe7f3f9fcfe7f3f8",
    )
)
