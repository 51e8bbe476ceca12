"""Headers of media: its types, and the names under which films are saved.

The bytes are sent by :mod:`vidlink.server.api.bodies`.
"""

from __future__ import annotations

from vidlink.model import Clip
from vidlink.model.clips import stamp

VIDEO = "video/mp4"
PLAYLIST = "application/vnd.apple.mpegurl"


def film_headers(sentinel_id: str, start_us: int) -> dict[str, str]:
    """Of the recording of a session; its name has the time of its first frame."""
    return _headers(f"{sentinel_id}-{stamp(start_us)}.mp4")


def clip_headers(sentinel_id: str, clip: Clip) -> dict[str, str]:
    """Of a time range of a recording; its name has the time of its first and its last frame."""
    name = f"{sentinel_id}-{stamp(clip.start_time_us)}-{stamp(clip.end_time_us)}.mp4"
    return _headers(name) | {
        "VidLink-Start": str(clip.start_time_us),
        "VidLink-Rebased": str(clip.rebased_ticks),
    }


def _headers(name: str) -> dict[str, str]:
    return {"Content-Type": VIDEO, "Content-Disposition": f'attachment; filename="{name}"'}
