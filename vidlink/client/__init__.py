"""A client of a VidLink server, for programs: history over HTTP, live over a WebSocket.

Everything that waits is ``async def``, runs under Twisted's reactor and can be cancelled. The
reactor is an argument, so importing this installs none. ``docs/reference/client.md`` shows how
to begin.
"""

from vidlink.client.follow import Connected, Follow, Lost, follow
from vidlink.client.history import Film, FilmSink, History, open_history
from vidlink.client.live import Event, Live, connect
from vidlink.client.splice import OtherPicture, Splice
from vidlink.httpjson.objects import Me

__all__ = [
    "Connected",
    "Event",
    "Film",
    "FilmSink",
    "Follow",
    "History",
    "Live",
    "Lost",
    "Me",
    "OtherPicture",
    "Splice",
    "connect",
    "follow",
    "open_history",
]
