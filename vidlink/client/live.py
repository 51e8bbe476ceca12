"""Live pictures over a WebSocket, as a stream of messages; ``docs/reference/wire.md`` is its text.

One connection follows any number of Sentinels. It ends when it breaks: what connects again, and
goes on where it was, is :mod:`vidlink.client.follow`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import vidlink
from vidlink.client.connection import ProctorFactory, ProctorProtocol
from vidlink.client.formats import viewer_codecs
from vidlink.client.inbox import MAX_BYTES
from vidlink.dialling.address import PROCTOR_PATH, Address, read_address
from vidlink.dialling.trust import TRUST_OF_SYSTEM, Trust
from vidlink.interfaces import ICodec
from vidlink.messages import (
    ErrorMessage,
    Focus,
    FramerateChange,
    InitRequest,
    KeyframeRequest,
    Place,
    ProctorRegistered,
    Sentinels,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from vidlink.model import InitSegment, Segment, Tier

#: One thing that a connection says.
Event = Subscribed | InitSegment | Segment | Skipped | SessionEnded | Sentinels | ErrorMessage

SOFTWARE = f"vidlink-client/{vidlink.__version__}"


class Live:
    """One connection to a server, registered as a Proctor; made by :func:`connect`.

    It is an asynchronous iterator of :data:`Event`, for one reader. A reader that is slow slows
    down the server: when :data:`~vidlink.client.inbox.MAX_BYTES` (4 MiB) wait here, the socket is
    not read until half of them are taken; what the server then cannot send is named by
    :class:`~vidlink.messages.Skipped`, and after 30 s it gives the connection up.

    The requests below return at once, and raise what ended the connection if it is over. A
    request that the server cannot fulfil is answered with an
    :class:`~vidlink.messages.ErrorMessage` in the stream.
    """

    def __init__(self, link: ProctorProtocol, registered: ProctorRegistered) -> None:
        self._link = link
        #: The server's acceptance: `may`, `server_time_us` (microseconds).
        self.registered = registered

    def __aiter__(self) -> Live:
        return self

    async def __anext__(self) -> Event:
        """The next event; ends when the connection was closed by :meth:`close`.

        :raises ~vidlink.errors.Unreachable: if the connection broke, or the server fell silent.
        :raises ~vidlink.errors.PeerError: if the server closed it; the class says why.
        :raises ~vidlink.errors.BadAnswer: if the server said what cannot be read.
        """
        event: Any = await self._link.inbox.next_message()
        return event  # type: ignore[no-any-return]

    def subscribe(
        self,
        sentinel_id: str,
        *,
        start_from: StartFrom | Place = StartFrom.LATEST,
        tier: Tier = Tier.FULL,
        max_lag_ms: int | None = None,
    ) -> None:
        """Follow a Sentinel, or follow it otherwise than before.

        :param start_from: the newest keyframe, the oldest one in memory, or an exact place.
        :param tier: every segment, or keyframe segments only.
        :param max_lag_ms: jump to the newest keyframe when further behind; None: when the
            server's memory no longer reaches back.
        """
        self._link.say(Subscribe(sentinel_id, start_from, tier, max_lag_ms))

    def unsubscribe(self, sentinel_id: str) -> None:
        """No more of this Sentinel; what is under way may still come."""
        self._link.say(Unsubscribe(sentinel_id))

    def focus(self, sentinel_id: str | None) -> None:
        """Have this one served first when there is not room for all; None: all alike."""
        self._link.say(Focus(sentinel_id))

    def request_init(self, sentinel_id: str) -> None:
        """Have the initialization segment sent once more."""
        self._link.say(InitRequest(sentinel_id))

    def request_keyframe(self, sentinel_id: str) -> None:
        """Have the Sentinel capture at once, as a keyframe."""
        self._link.say(KeyframeRequest(sentinel_id))

    def change_framerate(self, sentinel_id: str, framerate_mhz: int) -> None:
        """Have the Sentinel capture at this rate (mHz; 200 to 5,000, others are clamped)."""
        self._link.say(FramerateChange(sentinel_id, framerate_mhz))

    async def close(self) -> None:
        """Take leave; returns when the connection is over, after some seconds at most.

        Whoever is reading gets what is still here, and then the end. Does nothing the second
        time.
        """
        await self._link.leave()


async def connect(
    address: str,
    reactor: Any,
    *,
    codecs: Iterable[ICodec] | None = None,
    software: str = SOFTWARE,
    max_bytes: int = MAX_BYTES,
    token: str | None = None,
    can_go_plain: bool = False,
    trust: Trust = TRUST_OF_SYSTEM,
) -> Live:
    """Connect to the server at `address`, and register.

    :param address: ``ws://host:port``, ``https://host`` or a client endpoint string of Twisted's,
        as the Sentinel's ``--server`` takes it.
    :param reactor: the reactor.
    :param codecs: the formats to offer; None: all that are installed.
    :param software: program and version, for the server's log; at most 128 characters.
    :param max_bytes: how much may wait for the reader.
    :param token, can_go_plain, trust: as :func:`~vidlink.client.history.open_history` has them.
    :raises ~vidlink.errors.UserMistake: if `address` is none, or `token` cannot be shown there.
    :raises ~vidlink.errors.Unreachable: if nobody answers there, or not in time.
    :raises ~vidlink.errors.BadAnswer: if who answers is no VidLink server.
    :raises ~vidlink.errors.PeerError: if the server does not want us; the class says why.
    """
    where = read_address(address, reactor, PROCTOR_PATH, trust)
    headers = where.headers(token, can_go_plain=can_go_plain)
    return await connect_to(where, reactor, codecs, software, max_bytes, headers)


async def connect_to(
    where: Address,
    clock: Any,
    codecs: Iterable[ICodec] | None = None,
    software: str = SOFTWARE,
    max_bytes: int = MAX_BYTES,
    headers: Mapping[str, str] | None = None,
) -> Live:
    """As :func:`connect`, to an address that is read already.

    :param clock: `IReactorTime`.
    :param headers: those of the handshake.
    """
    offered = viewer_codecs() if codecs is None else tuple(codecs)
    factory = ProctorFactory(where.url, offered, software, max_bytes, clock, headers)
    link = await factory.reach(where.endpoint)
    return Live(link, await link.accepted())
