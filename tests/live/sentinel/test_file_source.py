"""Files made by somebody else's encoder, played as a source."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from av import VideoFrame

from tests.rigs.needs import need
from vidlink.sentinel.sources.file import FileSource

START = 1_000.0
FRAMES = 12
GREYS = "color=black:size=64x48:rate=5,geq=lum='20+10*N':cb=128:cr=128,format=yuv420p"


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("avi", "mpeg4"), ("webm", "libvpx-vp9"), ("mov", "mjpeg"), ("mkv", "ffv1")],
)
def test_other_formats(tmp_path: Path, suffix: str, codec: str) -> None:
    """A film in whatever format plays at its own pace, in order, and over again."""
    path = tmp_path / f"film.{suffix}"
    subprocess.run(
        [
            need("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", GREYS, "-frames:v", str(FRAMES),
            "-c:v", codec, "-q:v", "2", str(path),
        ],
        check=True,
        timeout=60,
    )  # fmt: skip
    source = FileSource(str(path))
    source.open()
    try:
        source.grab(START)
        seen = [which(source.grab(START + 0.05 + n / 10)) for n in range(40)]
    finally:
        source.close()
    rounds = [*range(FRAMES), *range(FRAMES)]
    assert seen == [number for number in rounds[:20] for _ in (0, 1)]


def which(picture: VideoFrame) -> int:
    """Which frame of the film a picture is, whatever its pixels are."""
    (value, *_) = bytes(picture.reformat(format="gray").planes[0])
    # From 0..255 back to the luma of video, which the film was made with.
    return round((value * 219 / 255 + 16 - 20) / 10)
