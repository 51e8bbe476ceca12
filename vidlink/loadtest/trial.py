"""A load test from the wish to the findings, on a server that runs."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import DeferredList

from vidlink.daemon import wall_clock_us
from vidlink.loadtest.course import Course, LoadProcess, spawn
from vidlink.loadtest.film import Film
from vidlink.loadtest.load import BEGIN_A_SECOND
from vidlink.loadtest.plan import STREAMS, shared_out
from vidlink.loadtest.stage import Stage
from vidlink.loadtest.verdict import Findings
from vidlink.terminal.progress import StatusLine

#: A process of the load carries so many messages a second, in and out, with ease.
_MESSAGES_A_PROCESS = 2_500
_MOST_PROCESSES = 8
#: Of a segment beside its frame: boxes, header, and the record in the index.
_BESIDE_BYTES = 300
#: Screens send for so long before and after they are measured, together.
_AROUND_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """The load that is wished for, and for how long it is measured."""

    screens: int
    frames_a_second: float
    proctors: int
    seconds: float

    @property
    def ids(self) -> list[str]:
        """The ids of all screens."""
        digits = max(3, len(str(self.screens)))
        return [f"rehearsal-{number:0{digits}}" for number in range(1, self.screens + 1)]

    @property
    def streams(self) -> int:
        """The number of screens that a proctor watches."""
        return min(STREAMS, self.screens)

    def recorded_bytes(self, film: Film) -> float:
        """The size of all that is recorded, reckoned high."""
        seconds = self.seconds + _AROUND_SECONDS + self.screens / BEGIN_A_SECOND
        return self.screens * self.frames_a_second * seconds * (film.mean_bytes + _BESIDE_BYTES)

    def processes(self, cores: int) -> int:
        """The number of processes of the load: as few as carry it, and a core is the server's."""
        messages = self.frames_a_second * (self.screens + self.proctors * self.streams)
        return max(1, min(math.ceil(messages / _MESSAGES_A_PROCESS), cores - 1, _MOST_PROCESSES))


async def try_out(wish: Wish, stage: Stage, film: Film, clock: Any, line: StatusLine) -> Findings:
    """Put the load on the server, and measure.

    :param clock: the reactor.
    :raises VidlinkError: if it cannot be measured.
    """
    plans = shared_out(
        stage.place,
        stage.screens,
        wish.proctors,
        round(wish.frames_a_second * 1_000),
        film,
        wall_clock_us() - round(time.monotonic() * 1_000_000),
        wish.processes(_cores()),
    )
    loads = [LoadProcess(plan) for plan in plans]
    try:
        for load in loads:
            spawn(clock, load, "vidlink.commands.load")
        course = Course(
            loads, plans, clock, stage.history.metrics, stage.check, line.show, stage.is_here
        )
        measured = await course.run(wish.seconds)
    finally:
        line.wipe()
        await DeferredList([load.stop(clock) for load in loads if load.transport is not None])
    return Findings(
        screens=wish.screens,
        proctors=wish.proctors,
        streams=wish.streams,
        frames_a_second=wish.frames_a_second,
        seconds=measured.seconds,
        registered=measured.registered,
        register_seconds=measured.register_seconds,
        failures=measured.failures,
        tally=measured.tally,
        use=measured.use,
        load_cpu_seconds=measured.load_cpu_seconds,
        others_share=measured.others_share,
        disk_rate=stage.disk_rate,
        available_bytes=stage.available_bytes,
        settings=stage.settings,
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it.
        return os.cpu_count() or 1
