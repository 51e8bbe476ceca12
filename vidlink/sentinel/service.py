"""The Sentinel daemon as one service: the capture thread and the road to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService, TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.dialling.address import Address
from vidlink.dialling.backoff import BackOff
from vidlink.dialling.repeats import Repeats
from vidlink.errors import GoingAway, VidlinkError
from vidlink.sentinel.uplink import UplinkFactory

TICK_SECONDS = 1.0
#: A server that is there has answered by then; what is captured before it has would be a session
#: of its own, of a few frames, at every start.
FIRST_SECONDS = 2.0
#: A server that has not taken the connection by then is not there: long enough for a slow answer
#: to the question for its address, and for four attempts of TCP, the last one 7 s after the first.
CONNECT_SECONDS = 8.0
#: The seconds that stopping may take: until the capture thread has ended, the last segments are
#: acknowledged, and the connection and the spool are closed; and all of it together.
CAPTURE_SECONDS, ACKNOWLEDGED_SECONDS, STOP_SECONDS = 2.0, 2.0, 5.0


@implementer(IStreamClientEndpoint)
class ReportingEndpoint:
    """A client endpoint that says in the log, and to `back_off`, that it could not connect.

    :param endpoint: `IStreamClientEndpoint`.
    :param clock: `IReactorTime`.
    :param make_ready: is called before each attempt, and may raise why there can be none.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: Any,
        url: str,
        back_off: BackOff,
        clock: Any,
        make_ready: Callable[[], object] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._make_ready = make_ready
        self._url = url
        self._back_off = back_off
        self._clock = clock
        self._repeats = Repeats(clock.seconds)

    def __repr__(self) -> str:
        """The name that Twisted has for it in the log."""
        return self._url

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect as the wrapped endpoint does, within :data:`CONNECT_SECONDS`."""
        try:
            self._make_ready()
        except VidlinkError:
            failed: Deferred[Any] = fail()
            return failed.addErrback(self._report)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        connecting.addTimeout(CONNECT_SECONDS, self._clock, _given_up)
        return connecting.addCallbacks(self._succeeded, self._report)

    def _succeeded(self, connection: Any) -> Any:
        self._repeats.clear()
        return connection

    def _report(self, failure: Failure) -> Failure:
        # Whoever stops connecting when told to has nothing to report.
        if failure.check(CancelledError, ConnectingCancelledError):
            return failure
        self._back_off.unreached()
        line = self._repeats.told(f"cannot reach {self._url}: {_why(failure)}")
        if line:
            self._log.warn("{line}", line=line)
        return failure


def _why(failure: Failure) -> str:
    """The reason in words, also where Twisted puts a whole failure into another one."""
    for inner in getattr(failure.value, "args", ())[:1]:
        if isinstance(inner, Failure):
            return inner.getErrorMessage()
    return failure.getErrorMessage()


def _given_up(result: object, seconds: float) -> object:
    """The outcome of an attempt that was cancelled because it took too long."""
    if isinstance(result, Failure):
        raise ConnectTimeout(string=f"no answer within {seconds:g} s")
    return result


class _Client(ClientService):
    """Without a line in the log for each attempt: what is worth telling is told by the endpoint."""

    _log = Logger(
        observer=FilteringLogObserver(globalLogPublisher, [LogLevelFilterPredicate(LogLevel.warn)])
    )


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
        client = _Client(
            ReportingEndpoint(
                address.endpoint, address.url, back_off, clock, factory.look_at_token
            ),
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
        self._factory.uplink.start(FIRST_SECONDS)
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
        self._factory.is_stopping = True
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
