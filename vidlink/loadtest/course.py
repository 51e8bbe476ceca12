"""The course of a load test: screens register, send, are watched, and then it is measured.

The load is in processes of its own (:mod:`vidlink.commands.load`); what the server has used it
says itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from vidlink.errors import VidlinkError
from vidlink.loadtest import machine
from vidlink.loadtest.load import BEGIN_A_SECOND
from vidlink.loadtest.plan import Plan
from vidlink.loadtest.tally import Report, Tally
from vidlink.loadtest.use import Figures, Use
from vidlink.loadtest.verdict import ms
from vidlink.terminal.leash import Leashed

#: All screens have to be let in within this time, and so have all streams to come to proctors.
READY_SECONDS = 60.0
#: Between the proctors' coming, which asks for many keyframes, and what is measured.
_SETTLE_SECONDS = 1.5
#: Segments that are on their way at the end are waited for.
_TAIL_SECONDS = 3.0
_LOOK_SECONDS = 0.1
#: An order arrives within this time.
_AHEAD_SECONDS = 0.2
_MOST_TOLD = 2_000


class LoadProcess(Leashed):
    """One process of the load."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.report: Report | None = None
        self._plan = plan
        self._rest = b""
        self._told = b""

    def connectionMade(self) -> None:
        """It runs: tell it the plan."""
        self._write(self._plan.plain())

    def order(self, word: str, *values: object) -> None:
        """Have it do what :class:`~vidlink.loadtest.load.Load` calls so."""
        self._write([word, *values])

    def outReceived(self, data: bytes) -> None:
        """A report, or a piece of one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self.report = Report.of_plain(json.loads(lines[-1]))

    def errReceived(self, data: bytes) -> None:
        """Something that it complains of."""
        self._told = (self._told + data)[-_MOST_TOLD:]

    def check(self) -> None:
        """See that it still runs.

        :raises VidlinkError: if it does not.
        """
        if self.ended.called:
            raise VidlinkError(f"a process of the load has ended: {last_line(self._told)}")

    def _write(self, value: object) -> None:
        if self.transport is not None and not self.ended.called:
            self.transport.write(json.dumps(value).encode("ascii") + b"\n")


def last_line(told: bytes) -> str:
    """The last line of what a process has said before its end."""
    lines = told.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"


def spawn(clock: Any, process: Leashed, module: str, *arguments: str) -> None:
    """Run a module of ours as `process`."""
    # -P: a folder called vidlink where the command was started is not our package.
    command = [sys.executable, "-P", "-m", module, *arguments]
    clock.spawnProcess(process, sys.executable, command, env=os.environ)


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured in `seconds`; `others_share` is None where it is not known."""

    seconds: float
    registered: int
    register_seconds: float
    failures: dict[str, int]
    tally: Tally
    use: Use
    load_cpu_seconds: float
    others_share: float | None


class Course:
    """One load test, on a server that runs.

    :param loads: the processes of the load, which run.
    :param plans: what each of them was told.
    :param clock: `IReactorTime`, by the monotonic clock.
    :param ask: gives the server's figures.
    :param check: raises if the server is gone.
    :param show: takes the line that says how far it is.
    :param is_here: the server is on this machine.
    """

    def __init__(
        self,
        loads: Sequence[LoadProcess],
        plans: Sequence[Plan],
        clock: Any,
        ask: Callable[[], Awaitable[str]],
        check: Callable[[], None],
        show: Callable[[Callable[[], str]], None],
        is_here: bool,
    ) -> None:
        self._loads, self._clock = loads, clock
        self._ask, self._check, self._show = ask, check, show
        self._is_here = is_here
        self._zero_us = plans[0].zero_us
        self._screens = plans[0].count
        self._interval = 1_000 / plans[0].framerate_mhz
        self._streams = sum(len(ids) for plan in plans for ids in plan.proctors)

    async def run(self, seconds: float) -> Measured:
        """All of it; once it is being measured, a cancellation ends it with what there is by then.

        :raises VidlinkError: if it cannot be measured.
        """
        await self._begin()
        before = Figures(await self._ask())
        asked_seconds = self._clock.seconds()
        processors, load_seconds = machine.processors(), self._cpu_seconds()
        begin = self._clock.seconds() + _AHEAD_SECONDS
        self._order("measure", self._us(begin), self._us(begin + seconds))
        try:
            await self._measure(begin, seconds)
        except CancelledError:
            done = self._clock.seconds() + _AHEAD_SECONDS - begin
            seconds = min(seconds, max(_LOOK_SECONDS, done))
            self._order("until", self._us(begin + seconds))
            await self._sleep(_AHEAD_SECONDS)
        after = Figures(await self._ask())
        use = Use.between(before, after, self._clock.seconds() - asked_seconds)
        others_share = self._others(processors, use, self._cpu_seconds() - load_seconds)
        load_seconds = self._cpu_seconds() - load_seconds
        await self._tail()
        reports = self._reports()
        return Measured(
            seconds=seconds,
            registered=sum(report.registered for report in reports),
            register_seconds=max(report.register_seconds for report in reports),
            failures=self._failures(),
            tally=self._tally(),
            use=use,
            load_cpu_seconds=load_seconds,
            others_share=others_share,
        )

    async def _begin(self) -> None:
        """Until all is as it will be measured."""
        self._order("connect")
        await self._until(
            lambda: self._sum("registered") + sum(self._failures().values()) >= self._screens,
            lambda: f"{self._sum('registered'):,} of {self._screens:,} screens registered",
        )
        if not self._sum("registered"):
            raise VidlinkError(f"no screen was let in: {next(iter(self._failures()), 'too slow')}")
        begun = self._clock.seconds() + _AHEAD_SECONDS
        self._order("start", begun)
        begun += self._screens / BEGIN_A_SECOND + 2 * self._interval
        while self._clock.seconds() < begun:
            self._show(lambda: "the screens begin to send")
            await self._sleep(_LOOK_SECONDS)
        self._order("watch")
        failed = sum(self._failures().values())
        await self._until(
            lambda: (
                self._sum("watching") >= self._streams or sum(self._failures().values()) > failed
            ),
            lambda: f"{self._sum('watching'):,} of {self._streams:,} streams watched",
        )
        await self._sleep(_SETTLE_SECONDS)

    async def _measure(self, begin: float, seconds: float) -> None:
        """See it through."""
        until = begin + seconds
        while self._clock.seconds() < until:
            self._show(lambda: self._progress(until))
            await self._sleep(_LOOK_SECONDS)

    async def _tail(self) -> None:
        """Wait for what is on its way, and for the last reports."""
        until = self._clock.seconds() + _TAIL_SECONDS
        while self._clock.seconds() < until:
            tally = self._tally()
            if tally.received + tally.skipped >= tally.expected:
                break
            await self._sleep(_LOOK_SECONDS)
        for load in self._loads:
            load.report = None
        self._order("report")
        await self._until(lambda: all(load.report for load in self._loads), lambda: "")

    def _progress(self, until: float) -> str:
        tally = self._tally()
        p99 = ms(tally.latency.within_us(0.99))
        late = max(0, tally.expected - tally.received)
        left = max(0.0, until - self._clock.seconds())
        return (
            f"measuring, {left:.0f} s left: {tally.sent:,} segments sent, "
            f"{tally.received:,} delivered, {late:,} on their way, 99 of 100 within {p99}"
        )

    def _others(
        self, before: machine.Processors | None, use: Use, load_seconds: float
    ) -> float | None:
        """The share of all processors that others have taken."""
        after = machine.processors()
        if before is None or after is None or after.all_seconds <= before.all_seconds:
            return None
        ours = load_seconds + (use.cpu_seconds if self._is_here else 0.0)
        busy = after.busy_seconds - before.busy_seconds
        return max(0.0, busy - ours) / (after.all_seconds - before.all_seconds)

    def _cpu_seconds(self) -> float:
        """The seconds of processors that the load has used, and this process."""
        return time.process_time() + sum(report.cpu_seconds for report in self._reports())

    async def _until(self, is_done: Callable[[], bool], told: Callable[[], str]) -> None:
        until = self._clock.seconds() + READY_SECONDS
        while not is_done() and self._clock.seconds() < until:
            if told():
                self._show(told)
            await self._sleep(_LOOK_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)
        self._check()
        for load in self._loads:
            load.check()

    def _us(self, seconds: float) -> int:
        return self._zero_us + round(seconds * 1_000_000)

    def _order(self, word: str, *values: object) -> None:
        for load in self._loads:
            load.order(word, *values)

    def _reports(self) -> list[Report]:
        return [load.report for load in self._loads if load.report is not None]

    def _sum(self, name: str) -> int:
        return sum(getattr(report, name) for report in self._reports())

    def _failures(self) -> dict[str, int]:
        failures: Counter[str] = Counter()
        for report in self._reports():
            failures.update(report.failures)
        return dict(failures)

    def _tally(self) -> Tally:
        tally = Tally()
        for report in self._reports():
            tally.merge(report.tally)
        return tally
