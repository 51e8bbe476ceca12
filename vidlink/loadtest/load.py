"""The load of one process: its screens and proctors, each screen's frames sent when they are due.

The frames of all screens, in whichever process, are spread evenly over the time from one frame to
the next. How late each one is sent is counted: where this process cannot keep its pace, what it
measures says nothing of the server.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.task import LoopingCall, deferLater

from vidlink.client.failures import broken
from vidlink.dialling.address import PROCTOR_PATH, SENTINEL_PATH, Address, read_address
from vidlink.dialling.trust import read_trust
from vidlink.loadtest.plan import Plan
from vidlink.loadtest.sockets import (
    GROUP,
    Gauge,
    LightFactory,
    LightProtocol,
    ProctorProtocol,
    ScreenProtocol,
)
from vidlink.loadtest.tally import Report
from vidlink.wire.binary import BinaryCodec

#: So many connections are made at a time; a server turns newcomers away before it drowns in them.
_AT_A_TIME = 32
#: So many screens begin a second, so that their first keyframes do not come as one.
BEGIN_A_SECOND = 60
#: A proctor comes so long after the one before it, and all of them within the second.
_JOIN_SECONDS, _MOST_JOIN_SECONDS = 0.2, 4.0
#: Of what is due so much is sent before anything else has its turn.
_SENT_A_TURN = 64
#: Screens have their second keyframe, and all that follow, spread over the film by this.
_GOLDEN = 0.618034
#: Frames that are later than this are left out.
MOST_LATE_SECONDS = 5.0
REPORT_SECONDS = 0.5
#: Whoever has not closed in this time is not waited for.
_LEAVE_SECONDS = 2.0


class Load:
    """All that one load process does.

    :param clock: `IReactorTime`, by the monotonic clock.
    :param say: takes a report, as JSON has it.
    """

    def __init__(self, plan: Plan, clock: Any, say: Callable[[Any], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._say = say
        self._gauge = Gauge(lambda: plan.zero_us + round(clock.seconds() * 1_000_000))
        self._failures: Counter[str] = Counter()
        self._screens: list[ScreenProtocol] = []
        self._proctors: list[ProctorProtocol] = []
        self._due: list[tuple[float, int]] = []
        self._timer: Any = None
        self._joining: list[Any] = []
        self._begun_us = 0
        self._one_of_many = DeferredSemaphore(_AT_A_TIME)
        self._reporting = LoopingCall(self.report)
        self._reporting.clock = clock
        self._reporting.start(REPORT_SECONDS, now=False)

    def connect(self) -> None:
        """Connect the screens; each registers and waits."""
        plan = self._plan
        self._begun_us = self._gauge.now_us()
        for screen, viewers in zip(plan.screens, plan.viewers, strict=True):
            protocol = ScreenProtocol(
                self._gauge,
                self._failed,
                screen.sentinel_id,
                # The token of a machine is bound to a group already.
                GROUP if screen.token is None else "",
                plan.film,
                plan.framerate_mhz,
                1 + int(screen.number * _GOLDEN % 1 * len(plan.film.samples)),
                viewers,
            )
            self._screens.append(protocol)
            self._dial(SENTINEL_PATH, protocol, screen.token)

    def start(self, at_seconds: float) -> None:
        """Begin to send, the first screens at this time by the monotonic clock."""
        interval = 1_000 / self._plan.framerate_mhz
        for place, screen in enumerate(self._plan.screens):
            phase = screen.number / self._plan.count
            after = screen.number // max(1, round(BEGIN_A_SECOND * interval))
            heapq.heappush(self._due, (at_seconds + (after + phase) * interval, place))
        self._send_due()

    def watch(self) -> None:
        """Connect the proctors one after the other; each asks for all of its streams at once."""
        step = min(_JOIN_SECONDS, _MOST_JOIN_SECONDS / max(1, len(self._plan.proctors)))
        for place, ids in enumerate(self._plan.proctors):
            protocol = ProctorProtocol(self._gauge, self._failed, list(ids))
            self._proctors.append(protocol)
            token = self._plan.place.token
            joining = self._clock.callLater(place * step, self._dial, PROCTOR_PATH, protocol, token)
            self._joining.append(joining)

    def measure(self, begin_us: int, end_us: int) -> None:
        """Count the segments that are sent in this time."""
        self._gauge.measure(begin_us, end_us)

    def until(self, end_us: int) -> None:
        """Count those that are sent before this time, and no more."""
        self._gauge.until(end_us)

    def report(self) -> None:
        """Say how it is."""
        tally = self._gauge.tally
        tally.latency = type(tally.latency)()
        for proctor in self._proctors:
            tally.latency.merge(proctor.latency)
        slowest = [proctor.latency.within_us(0.99) for proctor in self._proctors]
        tally.slowest_us = max(slowest, default=0)
        registered = [one.registered_us for one in self._screens if one.registered_us is not None]
        report = Report(
            registered=len(registered),
            register_seconds=(max(registered, default=self._begun_us) - self._begun_us) / 1e6,
            watching=sum(len(proctor.watching) for proctor in self._proctors),
            failures=self._failures,
            cpu_seconds=time.process_time(),
            tally=tally,
        )
        self._say(report.plain())

    def stop(self) -> Deferred[None]:
        """Close all connections; fires when that is done, or after a while."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for joining in self._joining:
            if joining.active():
                joining.cancel()
        if self._reporting.running:
            self._reporting.stop()
        everybody: list[LightProtocol] = [*self._screens, *self._proctors]
        for one in everybody:
            one.leave()
        until = self._clock.seconds() + _LEAVE_SECONDS
        gone: Deferred[None] = self._until_gone(everybody, until)
        return gone

    def _until_gone(self, everybody: list[LightProtocol], until: float) -> Any:
        left = [one for one in everybody if not one.is_over and one.transport is not None]
        if not left or self._clock.seconds() >= until:
            return deferLater(self._clock, 0)
        return deferLater(self._clock, 0.02).addCallback(lambda _: self._until_gone(left, until))

    def _dial(self, path: str, protocol: LightProtocol, token: str | None) -> None:
        place = self._plan.place
        address = read_address(place.server, self._clock, path, read_trust(place.ca, place.pin))
        headers = address.headers(token, can_go_plain=place.can_go_plain)
        factory = LightFactory(address.url, protocol, [BinaryCodec()], self._clock, headers)
        self._one_of_many.run(self._reach, address, factory)

    def _reach(self, address: Address, factory: LightFactory) -> Deferred[Any]:
        def missed(why: Any) -> None:
            self._failed(broken(address.url, why.value))

        reaching: Deferred[Any] = address.endpoint.connect(factory)
        return reaching.addErrback(missed)

    def _failed(self, why: BaseException) -> None:
        self._failures[str(why)] += 1

    def _send_due(self) -> None:
        due, interval = self._due, 1_000 / self._plan.framerate_mhz
        now = self._clock.seconds()
        for _ in range(_SENT_A_TURN):
            if not due or due[0][0] > now:
                break
            at, place = due[0]
            if now - at > MOST_LATE_SECONDS:
                self._gauge.tally.missed += 1
            else:
                self._screens[place].send(at, round((now - at) * 1_000_000))
            heapq.heapreplace(due, (at + interval, place))
            now = self._clock.seconds()
        if due:
            self._timer = self._clock.callLater(max(0.0, due[0][0] - now), self._send_due)
