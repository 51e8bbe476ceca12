"""The verdict on a load test: whether it fits, and what would break first at which size.

All is arithmetic on what was measured. What would break is reckoned in proportion to that, with
screens and proctors growing together, and never beyond :data:`MOST_TIMES` of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from vidlink.loadtest.film import KEYFRAME_SECONDS
from vidlink.loadtest.tally import Tally
from vidlink.loadtest.use import Use
from vidlink.quantities import count, size

#: Beyond so many times of what was measured nothing is foretold.
MOST_TIMES = 10.0
#: So soon 99 of 100 segments shall be with their proctor, also with the worst of them.
MOST_LATENCY_US = 250_000
#: Of a core a server may use so much; above it, what comes in a moment waits for it.
CORE_SHARE = 0.8
#: Of what a disk takes in one go so much is reckoned with, as recordings are many files.
DISK_SHARE = 0.5
#: A network: 1 Gbit/s, of which frames and packets leave so much; and what they add.
NETWORK_BITS, NETWORK_SHARE, OVERHEAD = 1e9, 0.9, 1.05
#: The server has its sockets turn newcomers away above this share of descriptors.
DESCRIPTOR_SHARE = 7 / 8
#: Of the queue for the disk so much may be full: from there on the server holds screens back.
QUEUE_SHARE = 1 / 8
#: Segments shall be durable within this time.
DURABLE_SECONDS = 5.0
#: One segment in so many may be missing at a proctor.
LOST_SHARE = 1 / 1_000
#: The load itself: 99 of 100 segments are sent within this time of when they are due, and no
#: more than so much of them is not sent.
LATE_US, MISSED_SHARE = 50_000, 0.01
#: Where others take more of the machine than this, what is too slow may be so because of them.
OTHERS_SHARE = 0.25


class Outcome(Enum):
    """The verdict in a word; its value is the exit status."""

    FITS = 0
    DOES_NOT_FIT = 2
    CANNOT_SAY = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the server that bound the size: those of one's own server are known."""

    buffer_seconds: float
    buffer_total_bytes: int
    sentinels: int


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was measured.

    `streams` are those that each proctor watches, `seconds` how long was measured. `others_share`
    is what programs beside server and load have taken of all processors, 0 to 1; `disk_rate` what
    the disk takes in octets a second; `available_bytes` the memory that there was at the start.
    The last three, and `settings`, are None where they are not known.
    """

    screens: int
    proctors: int
    streams: int
    frames_a_second: float
    seconds: float
    registered: int
    register_seconds: float
    failures: Mapping[str, int]
    tally: Tally
    use: Use
    load_cpu_seconds: float
    others_share: float | None = None
    disk_rate: float | None = None
    available_bytes: int | None = None
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that ends, in words, and at how many times the load."""

    times: float
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome; why it does not fit, or why that cannot be said; what would break, the first
    first."""

    outcome: Outcome
    blames: tuple[str, ...]
    doubts: tuple[str, ...]
    limits: tuple[Limit, ...]

    @property
    def status(self) -> int:
        """The exit status that says the same."""
        status: int = self.outcome.value
        return status


def judge(found: Findings) -> Verdict:
    """The verdict on what was found."""
    blames, failed = tuple(_blames(found)), tuple(_load_failed(found))
    doubts = failed + tuple(_others(found))
    outcome = Outcome.FITS
    if failed or (blames and doubts):
        outcome = Outcome.CANNOT_SAY
    elif blames:
        outcome = Outcome.DOES_NOT_FIT
    limits = sorted(_limits(found), key=lambda limit: limit.times) if found.tally.sent else ()
    return Verdict(outcome, blames, doubts, tuple(limits))


def core_share(found: Findings) -> float:
    """The share of one core that the server has used."""
    return found.use.cpu_seconds / found.use.seconds


def recorded_rate(found: Findings) -> float:
    """The octets a second that were recorded."""
    return found.use.recorded_bytes / found.use.seconds


def was_disk_busy(found: Findings) -> bool:
    """True if the disk had something else to do when it was tried: it has kept up with more than
    could be reckoned with by that."""
    if found.disk_rate is None or recorded_rate(found) <= DISK_SHARE * found.disk_rate:
        return False
    return not any(_disk_blames(found))


def bits_a_second(found: Findings) -> tuple[float, float]:
    """The bits a second that go into the server, and out of it, with what carries them."""
    tally = found.tally
    bits = 8 * OVERHEAD / found.seconds
    return tally.sent_bytes * bits, tally.received_bytes * bits


def undelivered(found: Findings) -> int:
    """The segments that proctors should have and have not."""
    return max(0, found.tally.expected - found.tally.received)


def _load_failed(found: Findings) -> Iterator[str]:
    """Why the load itself was not what it should be, through no fault of the server's."""
    tally = found.tally
    if not tally.sent and not tally.unsent:
        yield "nothing was sent while it was measured"
    late_us = tally.lateness.within_us(0.99)
    if late_us > LATE_US:
        yield (
            f"the load itself was late: of 100 segments 1 was sent more than {ms(late_us)} after "
            "it was due"
        )
    if tally.missed > MISSED_SHARE * (tally.sent + tally.missed):
        yield f"the load could not keep up: {count(tally.missed, 'segment')} were not sent in time"


def _others(found: Findings) -> Iterator[str]:
    if found.others_share is not None and found.others_share > OTHERS_SHARE:
        yield f"other programs took {percent(found.others_share)} of the processors meanwhile"


def _blames(found: Findings) -> Iterator[str]:
    """Why it does not fit."""
    tally, use = found.tally, found.use
    if found.registered < found.screens:
        yield f"only {found.registered:,} of {count(found.screens, 'screen')} were let in"
    for why, number in sorted(found.failures.items()):
        yield f"{count(number, 'connection')} failed: {why}"
    if use.has_process and core_share(found) > CORE_SHARE:
        yield f"the server used {percent(core_share(found))} of one core"
    if tally.slowest_us > MOST_LATENCY_US:
        yield (
            f"of 100 segments 1 took longer than {ms(tally.slowest_us)} to a proctor, where "
            f"{ms(MOST_LATENCY_US)} is what is wanted"
        )
    if undelivered(found) > LOST_SHARE * tally.expected:
        yield f"{undelivered(found):,} of {tally.expected:,} segments did not come to a proctor"
    if tally.unsent:
        yield f"the server held screens back: {count(tally.unsent, 'segment')} could not be sent"
    yield from _disk_blames(found)


def _disk_blames(found: Findings) -> Iterator[str]:
    """Why the disk does not do."""
    tally, use = found.tally, found.use
    if use.troubled:
        yield f"{count(round(use.troubled), 'recording')} did not reach the disk"
    if use.lost:
        yield f"{count(round(use.lost), 'segment')} were not recorded"
    if tally.queue_ratio > QUEUE_SHARE:
        yield f"the disk was too slow: the queue for it was full to {percent(tally.queue_ratio)}"
    if use.durable_seconds is not None and use.durable_seconds > DURABLE_SECONDS:
        yield f"it took more than {DURABLE_SECONDS:g} s until segments were on the disk"


def _limits(found: Findings) -> Iterator[Limit]:
    """All that ends, and at how many times the load."""
    use = found.use
    if use.has_process and use.cpu_seconds:
        yield Limit(CORE_SHARE / core_share(found), f"{percent(CORE_SHARE)} of one core")
    if found.disk_rate is not None and use.recorded_bytes and not was_disk_busy(found):
        what = f"half of the {size(found.disk_rate)}/s that the disk took"
        yield Limit(DISK_SHARE * found.disk_rate / recorded_rate(found), what)
    bits = max(bits_a_second(found))
    if bits:
        yield Limit(NETWORK_SHARE * NETWORK_BITS / bits, "a network of 1 Gbit/s")
    if use.has_process and use.descriptors and use.most_descriptors:
        share = DESCRIPTOR_SHARE * use.most_descriptors / use.descriptors
        yield Limit(share, f"the {round(use.most_descriptors):,} descriptors of a process")
    if found.settings is not None:
        yield from _limits_of(found, found.settings)


def _limits_of(found: Findings, settings: Settings) -> Iterator[Limit]:
    """Those that follow from the settings of the server."""
    yield Limit(
        settings.sentinels / found.screens,
        f"the {settings.sentinels:,} sentinels of --limit sentinels",
    )
    kept_seconds = settings.buffer_seconds + KEYFRAME_SECONDS
    kept_bytes = found.tally.sent_bytes / found.seconds * kept_seconds
    if not kept_bytes:
        return
    yield Limit(
        settings.buffer_total_bytes / kept_bytes,
        f"the {size(settings.buffer_total_bytes)} of --buffer-total-bytes, above which less than "
        f"{settings.buffer_seconds:g} s of each screen are kept in memory",
    )
    if found.available_bytes is not None and found.use.has_process:
        # The buffers may not have been full yet.
        grown = max(0.0, found.use.resident_bytes - found.use.buffer_bytes) + kept_bytes
        times = found.available_bytes / grown
        yield Limit(times, f"the {size(found.available_bytes)} of memory that were free")


def percent(share: float) -> str:
    """A share, for people."""
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.1f} %"


def ms(time_us: float) -> str:
    """A short time, for people: ``0.4 ms``, ``12 ms``, ``2.5 s``."""
    if time_us >= 1_000_000:
        return f"{time_us / 1_000_000:.1f} s"
    return f"{time_us / 1_000:.0f} ms" if time_us >= 10_000 else f"{time_us / 1_000:.1f} ms"
