"""One Sentinel, followed over any number of connections: what `vidlink watch` shows.

A connection that breaks is made again, for ever, and goes on with the very next segment if the
server's memory still has it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.task import deferLater

from vidlink.client.inbox import MAX_BYTES
from vidlink.client.live import Event, Live, connect
from vidlink.dialling.backoff import PATIENT_SECONDS, BackOff
from vidlink.dialling.trust import TRUST_OF_SYSTEM, Trust
from vidlink.errors import NotAllowed, NotAuthenticated, NotFound, UserMistake, VidlinkError
from vidlink.messages import ErrorMessage, Place, Sentinels, StartFrom, Subscribed
from vidlink.model import Segment, Tier

#: After these the server is asked again no faster than once a minute: nothing changes sooner.
_PATIENT = (NotAllowed, NotAuthenticated)


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no connection, and why; the next attempt is made in `retry_seconds`."""

    error: VidlinkError
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection (again); what the server says follows."""


class Follow:
    """Follows one Sentinel; an asynchronous iterator of events for one reader, without an end.

    One that the server has never seen is waited for, as one that is offline.

    Besides what a connection says, and in its place, there are :class:`Connected` and
    :class:`Lost`. Reading on after `Lost` waits and connects again. Between two segments of one
    session nothing is left out that is not named by ``Skipped``.

    :param join: gives a new connection.
    :param clock: `IReactorTime`.
    :param start_from, tier, max_lag_ms: as :meth:`~vidlink.client.live.Live.subscribe` has them;
        after a lost connection it goes on where it was instead.
    """

    def __init__(
        self,
        sentinel_id: str,
        join: Callable[[], Awaitable[Live]],
        clock: Any,
        *,
        start_from: StartFrom | Place = StartFrom.LATEST,
        tier: Tier = Tier.FULL,
        max_lag_ms: int | None = None,
        back_off: BackOff | None = None,
    ) -> None:
        self.sentinel_id = sentinel_id
        self._join = join
        self._clock = clock
        self._start = start_from
        self._tier = tier
        self._max_lag_ms = max_lag_ms
        self._back_off = back_off or BackOff(random.random)
        self._live: Live | None = None
        self._pause_seconds = 0.0
        self._is_unheard_of = False

    def __aiter__(self) -> Follow:
        return self

    async def __anext__(self) -> Event | Connected | Lost:
        """The next event."""
        if self._live is None:
            return await self._reach()
        try:
            event = await self._live.__anext__()
        except VidlinkError as error:
            self._live = None
            return self._lost(error)
        return self._seen(self._live, event)

    async def close(self) -> None:
        """Take leave of the server; does nothing without a connection."""
        live, self._live = self._live, None
        if live is not None:
            await live.close()

    async def _reach(self) -> Connected | Lost:
        if self._pause_seconds:
            await deferLater(self._clock, self._pause_seconds)
        try:
            live = await self._join()
            self._subscribe(live)
        except UserMistake:
            raise
        except VidlinkError as error:
            return self._lost(error)
        self._back_off.reset()
        self._pause_seconds = 0.0
        self._live = live
        return Connected()

    def _subscribe(self, live: Live) -> None:
        self._is_unheard_of = False
        live.subscribe(
            self.sentinel_id,
            start_from=self._start,
            tier=self._tier,
            max_lag_ms=self._max_lag_ms,
        )

    def _lost(self, error: VidlinkError) -> Lost:
        if isinstance(error, _PATIENT):
            self._back_off.at_least(PATIENT_SECONDS)
        self._pause_seconds = self._back_off.next_seconds()
        return Lost(error, self._pause_seconds)

    def _seen(self, live: Live, event: Event) -> Event:
        """Remember where we are, and subscribe once the Sentinel is there if not before."""
        if isinstance(event, Segment):
            self._start = Place(event.session_id, event.sequence + 1)
        elif isinstance(event, ErrorMessage):
            # Older servers say so, and those that let no more wait for whom they never saw.
            if (event.code, event.about) == (NotFound.code, self.sentinel_id):
                self._is_unheard_of = True
                return Subscribed(self.sentinel_id, is_known=False)
        elif (
            isinstance(event, Sentinels)
            and self._is_unheard_of
            and any(row.sentinel_id == self.sentinel_id for row in event.sentinels)
        ):
            self._subscribe(live)
        return event


def follow(
    sentinel_id: str,
    address: str,
    reactor: Any,
    *,
    max_bytes: int = MAX_BYTES,
    token: str | None = None,
    can_go_plain: bool = False,
    trust: Trust = TRUST_OF_SYSTEM,
    **wishes: Any,
) -> Follow:
    """Follow a Sentinel of the server at `address`.

    `address`, `max_bytes`, `token`, `can_go_plain` and `trust` are those of
    :func:`~vidlink.client.live.connect`; `wishes` are the optional parameters of :class:`Follow`.
    """

    def join() -> Awaitable[Live]:
        return connect(
            address,
            reactor,
            max_bytes=max_bytes,
            token=token,
            can_go_plain=can_go_plain,
            trust=trust,
        )

    return Follow(sentinel_id, join, reactor, **wishes)
