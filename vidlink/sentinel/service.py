"""The Sentinel daemon as one service: the capture thread and the road to the server."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService, TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.address import Address
from vidlink.backoff import BackOff
from vidlink.errors import GoingAway
from vidlink.sentinel.uplink import UplinkFactory

TICK_SECONDS = 1.0
#: How long stopping may take: until the capture thread has ended, the last segments are
#: acknowledged, and the connection and the spool are closed; and all of it together.
CAPTURE_SECONDS, ACKNOWLEDGED_SECONDS, STOP_SECONDS = 2.0, 2.0, 5.0


@implementer(IStreamClientEndpoint)
class ReportingEndpoint:
    """A client endpoint that says in the log why it could not connect.

    :param endpoint: `IStreamClientEndpoint`.
    """

    _log = Logger()

    def __init__(self, endpoint: Any, url: str) -> None:
        self._endpoint = endpoint
        self._url = url

    def __repr__(self) -> str:
        """How Twisted names it in the log."""
        return self._url

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect as the wrapped endpoint does."""
        return self._endpoint.connect(factory).addErrback(self._report)  # type: ignore[no-any-return]

    def _report(self, failure: Failure) -> Failure:
        # Whoever stops connecting when told to has nothing to report.
        if not failure.check(CancelledError, ConnectingCancelledError):
            why = failure.getErrorMessage()
            self._log.warn("cannot reach {url}: {why}", url=self._url, why=why)
        return failure


class SentinelService(MultiService):
    """Captures from the start, and stays connected to the server, for ever.

    :param capture: the capture thread, with `start()` and `stop()`.
    :param clock: `IReactorTime`.
    """

    def __init__(
        self,
        capture: Any,
        address: Address,
        factory: UplinkFactory,
        back_off: BackOff,
        clock: Any,
    ) -> None:
        super().__init__()
        self._capture = capture
        self._factory = factory
        self._clock = clock
        client = ClientService(
            ReportingEndpoint(address.endpoint, address.url),
            factory,
            retryPolicy=lambda attempts: back_off.next_seconds(),
            clock=clock,
        )
        client.setServiceParent(self)
        ticking = TimerService(TICK_SECONDS, factory.uplink.tick)
        ticking.clock = clock
        ticking.setServiceParent(self)

    def startService(self) -> None:
        """Begin to capture and to connect."""
        self._capture.start()
        self._factory.uplink.start()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """End the capture thread, wait for the last segments to be recorded, and say farewell.

        A device that blocks inside FFmpeg, or a server that reads nothing, is not waited for
        longer than :data:`STOP_SECONDS`: the capture thread ends with the process. What is not
        acknowledged then stays in a spool on disk.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        uplink, began = self._factory.uplink, self._clock.seconds()
        await self._within(CAPTURE_SECONDS, self._capture.stop())
        finished: Deferred[None] = Deferred()

        def acknowledged() -> None:
            if not finished.called:
                finished.callback(None)

        uplink.finish(acknowledged)
        await self._within(ACKNOWLEDGED_SECONDS, finished)
        uplink.fail(GoingAway("the sentinel is shutting down"))
        last = DeferredList([super().stopService(), uplink.spool.close()], consumeErrors=True)
        await self._within(STOP_SECONDS - (self._clock.seconds() - began), last)

    def _within(self, seconds: float, waited: Deferred[Any]) -> Deferred[Any]:
        """`waited` when it fires or fails, or when it has taken too long."""
        waited.addErrback(lambda failure: None)
        return waited.addTimeout(seconds, self._clock, lambda result, _: None)
