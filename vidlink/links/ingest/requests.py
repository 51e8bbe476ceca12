"""Requests to a Sentinel, no faster than it is good for.

Any proctor may ask, and each request costs the Sentinel a keyframe. Who asks, and for what, is
:mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable

from vidlink.messages import FramerateChange, KeyframeRequest

#: Of each kind of request so much time lies between one and the next.
COALESCE_SECONDS = 1.0

Request = FramerateChange | KeyframeRequest


class ControlRequests:
    """Requests on their way to one Sentinel.

    The first of a kind goes out at once; of those that come too soon after it, only the last.

    :param send: sends a request.
    :param seconds: the monotonic clock.
    """

    def __init__(self, send: Callable[[Request], None], seconds: Callable[[], float]) -> None:
        self._send = send
        self._seconds = seconds
        self._sent_seconds: dict[type[Request], float] = {}
        self._waiting: dict[type[Request], Request] = {}

    def ask(self, request: Request) -> None:
        """Send `request`, now or when it is time; it takes the place of one that waits."""
        kind, now = type(request), self._seconds()
        if now - self._sent_seconds.get(kind, float("-inf")) < COALESCE_SECONDS:
            self._waiting[kind] = request
            return
        self._waiting.pop(kind, None)
        self._sent_seconds[kind] = now
        self._send(request)

    def answered(self, kind: type[Request]) -> None:
        """Drop what waits of this kind: it is not needed any more."""
        self._waiting.pop(kind, None)

    def tick(self) -> None:
        """Send what waits, if it is time; to be called about once a second."""
        for request in tuple(self._waiting.values()):
            self.ask(request)
