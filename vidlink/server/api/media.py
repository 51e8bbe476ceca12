"""Headers of media: its types, and the names under which films are saved.

The bytes are sent by :mod:`vidlink.server.api.bodies`.
"""

from __future__ import annotations

from functools import lru_cache

from vidlink.access.shown import with_ticket
from vidlink.interfaces import IBody
from vidlink.model import Clip, ClipQuery
from vidlink.model.clips import stamp
from vidlink.server.api.bodies import SmallBody

VIDEO = "video/mp4"
PLAYLIST = "application/vnd.apple.mpegurl"
#: The headers of so many films are kept.
_MOST_HEADERS = 256


@lru_cache(_MOST_HEADERS)
def film_headers(sentinel_id: str, clip: Clip, query: ClipQuery) -> dict[str, str]:
    """Of a film; its name has the time of its first picture and, of a range, of its end."""
    name = f"{sentinel_id}-{stamp(clip.start_time_us)}"
    if query.start_time_us is not None or query.end_time_us is not None:
        name += f"-{stamp(clip.end_time_us)}"
    return {
        "Content-Type": VIDEO,
        "Content-Disposition": f'attachment; filename="{name}.mp4"',
        "VidLink-Start": str(clip.start_time_us),
    }


def pinned(query: ClipQuery, clip: Clip, version: str) -> str:
    """Where a film stays that may grow, from where it was asked for."""
    bounds = {"start": query.start_time_us, "end": query.end_time_us, "last": clip.last}
    given = [f"{name}={value}" for name, value in bounds.items() if value is not None]
    return "&".join((f"recording.mp4?{given[0]}", *given[1:], f"version={version}"))


async def ticketed(playlist: IBody, ticket: str) -> IBody:
    """`playlist` for whoever has it by `ticket`: so do the addresses in it.

    They are relative, and so do not take the query of their list along.
    """
    text = await playlist.read(0, playlist.size_bytes)
    # Each address ends so, and nothing else in a list does.
    text = text.replace(b".mp4", with_ticket(".mp4", ticket).encode("ascii"))
    return SmallBody(text, playlist.modified_us, is_final=playlist.is_final)
