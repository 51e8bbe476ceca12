"""The server daemon as one service: what is started and stopped, and in which order."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from autobahn.websocket import USES_NVX
from twisted.application.internet import TimerService
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from vidlink.audit.trail import SERVER, Trail
from vidlink.errors import UserMistake, VidlinkError
from vidlink.model import USUAL, Deed
from vidlink.options import or_exit
from vidlink.relay.hub import Hub
from vidlink.server.health.collecting import Collecting
from vidlink.server.health.health import Health
from vidlink.server.sockets.ingest import IngestFactory
from vidlink.server.sockets.link import LinkFactory
from vidlink.server.sockets.watch import WatchFactory

COMMAND = "twistd vidlink-server"
TICK_SECONDS = 1.0
#: The recording is asked so often whom it knows: with their last session sentinels are deleted.
HISTORY_SECONDS = 600.0
#: At shutdown peers have so long to take what was written to them.
FAREWELL_SECONDS = 1.0


class ServerService(MultiService):
    """Listens, ticks, records; on stopping it says farewell before the store is closed.

    :param store: the recording: `open()`, `start()`, `stop()`, and `archive`, an `IArchive`.
    :param ports: one service for each listening endpoint.
    :param clock: `IReactorTime`.
    :param slept_seconds: how long this computer has slept, since whenever.
    :param ticks: more that is to be called about once a second.
    :param collecting: when Python collects; None: whenever it wants to.
    """

    _log = Logger()

    def __init__(
        self,
        hub: Hub,
        store: Any,
        health: Health,
        trail: Trail,
        ingest: IngestFactory,
        watch: WatchFactory,
        ports: Iterable[IService],
        clock: Any,
        slept_seconds: Callable[[], float] = lambda: 0.0,
        ticks: Iterable[Callable[[], object]] = (),
        collecting: Collecting | None = None,
    ) -> None:
        super().__init__()
        self._hub = hub
        self._store = store
        self._health = health
        self._trail = trail
        self._links: tuple[LinkFactory, ...] = (ingest, watch)
        self._collecting = collecting
        others = () if collecting is None else (collecting.tick,)
        self._others = (*ticks, *others)
        self._clock = clock
        self._asked_seconds = 0.0
        self._slept_seconds, self._slept = slept_seconds, slept_seconds()
        self._ticking = TimerService(TICK_SECONDS, self._tick)
        self._ticking.clock = clock
        self._ports = MultiService()
        for port in ports:
            port.setServiceParent(self._ports)
        self._ports.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Take the ports; one that is taken already ends the process with one line."""
        or_exit(COMMAND, self._listen)

    def startService(self) -> None:
        """Open the data folder and go; one that cannot be used ends the process likewise."""
        if not USES_NVX:
            self._log.warn(
                "Autobahn runs without NVX: what is not cut whole, such as keyframes beyond "
                "128 KiB, costs about 100 times more to receive. Install a wheel of autobahn that "
                "has it, and unset AUTOBAHN_USE_NVX."
            )
        or_exit(COMMAND, self._store.open)
        self._store.start()
        self._trail.note(Deed.STARTED, SERVER, "")
        self._ask_history()
        super().startService()
        self._ticking.startService()
        if self._collecting is not None:
            self._collecting.begin()

    def stopService(self) -> Deferred[Any]:
        """No newcomers, farewell to everybody, then everything received becomes durable."""
        stopped = super().stopService()

        def farewell(_: object) -> Deferred[Any]:
            for links in self._links:
                links.going_away()
            return self._until_gone()

        def close(_: object) -> Deferred[Any]:
            if self._collecting is not None:
                self._collecting.end()
            self._trail.note(Deed.STOPPED, SERVER, "")
            return DeferredList([self._store.stop(), self._trail.close()])

        waits: list[Deferred[Any]] = [stopped]
        if self._ticking.running:
            waits.append(self._ticking.stopService())
        said = DeferredList(waits).addCallback(farewell)
        said.addErrback(lambda failure: self._log.failure("the farewell failed", failure))
        return said.addCallback(close)

    def _listen(self) -> None:
        try:
            super().privilegedStartService()
        except CannotListenError as error:
            where = f"{error.interface or '*'}:{error.port}"
            if isinstance(error.port, bytes):  # The path of a Unix socket.
                where = os.fsdecode(error.port)
            raise UserMistake(
                f"cannot listen on {where} ({error.socketError}); choose another --listen"
            ) from None
        except OSError as error:
            # Of a Unix socket: twisted makes a lock beside it.
            name = os.fsdecode(error.filename2 or error.filename or "").removesuffix(".lock")
            where = f" on {name}" if name else ""
            raise UserMistake(
                f"cannot listen{where} ({error.strerror or error}); choose another --listen"
            ) from None

    def _tick(self) -> None:
        self._tell_sleep()
        ticks = (self._hub.tick, self._health.tick, self._tick_history, self._trail.tick)
        links = (one.tick for one in self._links)
        for tick in (*ticks, *self._others, *links):
            try:
                tick()
            except Exception:
                # Left to the timer, one fault would be the end of all lists and acks.
                self._log.failure("a tick failed; the next one comes")

    def _tell_sleep(self) -> None:
        before, self._slept = self._slept, self._slept_seconds()
        if self._slept - before >= TICK_SECONDS:
            self._log.warn(
                "this computer was asleep for {seconds} s: nothing was received in that time",
                seconds=round(self._slept - before, 1),
            )

    def _until_gone(self) -> Deferred[Any]:
        """Fires when all links are closed, or after :data:`FAREWELL_SECONDS`."""
        deadline = self._clock.seconds() + FAREWELL_SECONDS

        def look(_: object) -> Any:
            if not any(links.links for links in self._links) or self._clock.seconds() >= deadline:
                return None
            return deferLater(self._clock, 0.02).addCallback(look)

        return deferLater(self._clock, 0).addCallback(look)

    def _ask_history(self) -> None:
        """List whom the recording knows; what was deleted since is listed no longer."""
        self._asked_seconds = self._hub.seconds()
        remember = partial(self._hub.remember, asked_seconds=self._asked_seconds)
        self._store.archive.sentinels().addCallbacks(remember, self._not_listed)

    def _tick_history(self) -> None:
        if self._hub.seconds() - self._asked_seconds >= HISTORY_SECONDS:
            self._ask_history()

    def _not_listed(self, failure: Any) -> None:
        failure.trap(VidlinkError)
        self._log.error("earlier sentinels are not listed: {why}", why=failure.value)


def raise_descriptor_limit(most: int = USUAL.descriptors) -> int:
    """Use as many descriptors as we may: a Sentinel takes three, the usual limit is 1,024.

    Returns how many those are, and no more than `most`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS says that there is no limit, and takes none for an answer.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return most if soft == resource.RLIM_INFINITY else min(soft, most)
