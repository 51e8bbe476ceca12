"""Small video files for tests of what reads them."""

from __future__ import annotations

from av import VideoFrame

from tests.fmp4.media import TIMESCALE, annexb_to_avc, encoded
from vidlink.fmp4 import write_fragment

FRAMES = 12
FRAME_SECONDS = 0.2


def film(frames: int = FRAMES) -> bytes:
    """A film at five frames a second, each a flat grey that `number_of` knows again."""
    media = encoded(FRAMES)
    step = TIMESCALE // 5
    return media.init + b"".join(
        write_fragment(
            sequence=number,
            decode_time=number * step,
            duration=step,
            keyframe=keyframe,
            data=annexb_to_avc(packet),
        )
        for number, (packet, keyframe) in enumerate(media.packets[:frames])
    )


def number_of(picture: VideoFrame) -> int:
    """Which frame of the film a picture is."""
    return round((bytes(picture.planes[0])[0] - 20) / 10)
