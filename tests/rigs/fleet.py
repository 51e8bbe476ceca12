"""A fleet of Sentinels in one process: the real uplink and spool, fed with an encoded film.

``python -m tests.rigs.fleet --server ws://127.0.0.1:8080 --journal FILE`` runs until it is ended
with SIGTERM. Everything but the capture is what a daemon has, so what one of these does, it does.
What was captured goes to the journal (:mod:`tests.rigs.journal`) before it goes anywhere else.
"""

from __future__ import annotations

import argparse
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from tests.rigs.journal import Journal, JournalledSpool
from vidlink.daemon import prepare, steady_clock, wall_clock_us
from vidlink.dialling.address import Address, read_address
from vidlink.dialling.backoff import BackOff
from vidlink.interfaces import ICapture, ICodec, ISpool
from vidlink.links.uplink.conversation import Uplink
from vidlink.model import EncodedFrame, Registration
from vidlink.plugins import find_codecs
from vidlink.sentinel.capture.cadence import Cadence
from vidlink.sentinel.capture.encoders import SOFTWARE, EncoderSettings
from vidlink.sentinel.service import SentinelService
from vidlink.sentinel.sources.picture import PatternPicture
from vidlink.sentinel.tap import (
    HANDSHAKE_SECONDS,
    Options,
    make_spool,
)
from vidlink.sentinel.uplink import UplinkFactory
from vidlink.sentinel.uplink_log import UplinkLog
from vidlink.server.service import raise_descriptor_limit

ROOT = Path(__file__).parents[2]
FILM_SIZE, FILM_FRAMES = (320, 240), 50
KEYFRAME_SECONDS = 10.0
MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Film:
    """Real H.264: `frames` build on each other, and the first of them is an IDR."""

    init: bytes
    timescale: int
    frames: tuple[bytes, ...]

    @classmethod
    def shoot(cls) -> Film:
        """Encode the test picture, as a Sentinel would."""
        encoder = EncoderSettings(SOFTWARE, *FILM_SIZE).open(*FILM_SIZE)
        pattern = PatternPicture("fleet", *FILM_SIZE)
        began_us, step = wall_clock_us(), encoder.timescale // 5
        frames = tuple(
            encoder.encode(pattern.draw(began_us + 200_000 * n, n), step * n, n == 0)
            for n in range(FILM_FRAMES)
        )
        film = cls(encoder.init, encoder.timescale, frames)
        encoder.close()
        return film


@implementer(ICapture)
class Projector:
    """Plays a film in place of a capture thread: by the real cadence, and each keyframe that is
    due is the film's first frame.

    :param clock: `IReactorTime`.
    """

    def __init__(
        self, film: Film, framerate_mhz: int, clock: Any, now_us: Callable[[], int]
    ) -> None:
        self.uplink: Any = None
        self._film = film
        self._clock = clock
        self._now_us = now_us
        self._cadence = Cadence(framerate_mhz, KEYFRAME_SECONDS, film.timescale)
        self._place = 0
        self._announced = 0
        self._due: Any = None

    def start(self) -> None:
        """Wait for the first session."""

    def stop(self) -> Deferred[None]:
        """Play no more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        return succeed(None)

    def begin_session(self) -> int:
        """Start a session: its first frame is due now."""
        epoch = self._cadence.begin_session(self._clock.seconds())
        self._wait()
        return epoch

    def request_keyframe(self) -> None:
        """The next frame is an IDR, and due as soon as may be."""
        self._cadence.request_keyframe(self._clock.seconds())
        self._wait()

    def set_framerate(self, framerate_mhz: int) -> None:
        """Play at this rate from now on."""
        self._cadence.set_framerate(framerate_mhz, self._clock.seconds())
        self._wait()

    def _wait(self) -> None:
        if self._due is not None:
            self._due.cancel()
        wait = self._cadence.wait_seconds(self._clock.seconds())
        self._due = self._clock.callLater(wait or 0.0, self._show)

    def _show(self) -> None:
        self._due = None
        shot = self._cadence.place_shot(self._clock.seconds())
        self._place = 0 if shot.is_keyframe else self._place + 1
        self._wait()
        if self._announced != shot.epoch:
            self._announced = shot.epoch
            self.uplink.initialized(self._film.init)
        frame = EncodedFrame(
            epoch=shot.epoch,
            media_time=shot.media_time,
            start_time_us=self._now_us(),
            duration=shot.duration,
            duration_ms=shot.duration_ms,
            is_keyframe=shot.is_keyframe,
            framerate_mhz=shot.framerate_mhz,
            data=self._film.frames[self._place % FILM_FRAMES],
        )
        self.uplink.encoded(frame)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all of them have in common. `spool` is a folder, or ``memory``."""

    address: Address
    film: Film
    framerate_mhz: int
    spool: str
    journal: Journal
    codec: ICodec
    clock: Any

    def sentinel(self, sentinel_id: str) -> SentinelService:
        """One of them, put together as in :mod:`vidlink.sentinel.tap`."""
        back_off = BackOff(random.random)
        events = UplinkLog(self.address.url, back_off)
        now_us = steady_clock(wall_clock_us, time.monotonic)
        projector = Projector(self.film, self.framerate_mhz, self.clock, now_us)
        who = Registration(sentinel_id, secrets.token_urlsafe(18), sentinel_id, "fleet", "fleet/1")
        spool = JournalledSpool(self._spool(sentinel_id, events), sentinel_id, self.journal)
        uplink = projector.uplink = Uplink(
            who,
            projector,
            events,
            spool=spool,
            clock=self.clock,
            wall_clock_us=now_us,
        )
        factory = UplinkFactory(self.address.url, uplink, self.codec, back_off, self.clock)
        factory.setProtocolOptions(openHandshakeTimeout=HANDSHAKE_SECONDS)
        return SentinelService(projector, self.address, factory, back_off, self.clock)

    def _spool(self, sentinel_id: str, events: UplinkLog) -> ISpool:
        options = Options()
        options["id"] = sentinel_id
        options["spool"] = None if self.spool == MEMORY else self.spool
        return make_spool(options, events.on_trouble, self.clock)


class FleetProcess:
    """A fleet in a process of its own; its Sentinels are called ``fleet-0`` and so on.

    :param options: more of its options.
    :param before: what runs it, such as ``ip netns exec NAME``.
    """

    _numbers = count()

    def __init__(
        self, server: str, folder: Path, *options: str, before: Sequence[str] = ()
    ) -> None:
        number = next(self._numbers)
        self.journal_path = folder / f"fleet-{number}.journal"
        self.log_path = folder / f"fleet-{number}.log"
        command = [*before, sys.executable, "-m", "tests.rigs.fleet", "--server", server]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--journal", str(self.journal_path), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> int:
        """End it as an operator would; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()


def main() -> None:
    """Read the options and run."""
    from twisted.internet import reactor

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--spool", default=MEMORY, help="a folder, or: memory")
    parser.add_argument("--journal", type=Path, required=True)
    options = parser.parse_args()
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    clock: Any = reactor
    prepare(clock)
    raise_descriptor_limit()
    fleet = Fleet(
        address=read_address(options.server, clock),
        film=Film.shoot(),
        framerate_mhz=round(options.fps * 1_000),
        spool=options.spool,
        journal=Journal(options.journal),
        codec=next(codec for codec in find_codecs() if codec.name == "vidlink.v1.binary"),
        clock=clock,
    )
    services = MultiService()
    for number in range(options.count):
        fleet.sentinel(f"fleet-{number}").setServiceParent(services)
    clock.callWhenRunning(services.startService)
    clock.addSystemEventTrigger("before", "shutdown", services.stopService)
    clock.run()


if __name__ == "__main__":
    main()
