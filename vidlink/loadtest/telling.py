"""A verdict as it is told: lines for a person, one object for a program."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from vidlink.loadtest.spread import Spread
from vidlink.loadtest.verdict import (
    MOST_TIMES,
    Findings,
    Limit,
    Outcome,
    Verdict,
    bits_a_second,
    core_share,
    ms,
    percent,
    recorded_rate,
    undelivered,
    was_disk_busy,
)
from vidlink.quantities import count, figure, size

_ENDS = {
    Outcome.FITS: "it fits",
    Outcome.DOES_NOT_FIT: "it does not fit",
    Outcome.CANNOT_SAY: "this cannot be said",
}


def lines(found: Findings, verdict: Verdict) -> Iterator[str]:
    """All of it, the verdict first."""
    load = f"{count(found.screens, 'screen')} at {figure(found.frames_a_second)} frames a second"
    if found.proctors:
        each = "" if found.proctors == 1 else " each"
        load += (
            f" with {count(found.proctors, 'proctor')} of {count(found.streams, 'screen')}{each}"
        )
    yield f"{load}: {_ENDS[verdict.outcome]}."
    yield from (f"  - {why}" for why in verdict.blames)
    yield from (f"  ? {why}" for why in verdict.doubts)
    if found.tally.sent:
        yield from _measured(found)
        yield from _foretold(found, verdict)
    if verdict.outcome is Outcome.CANNOT_SAY:
        yield "Run it again when the machine has nothing else to do, or with fewer screens."


def _measured(found: Findings) -> Iterator[str]:
    tally, use = found.tally, found.use
    if use.has_process:
        each_us = use.cpu_seconds * 1e6 / max(1, tally.sent + tally.received)
        yield _row(
            "processor",
            f"the server used {percent(core_share(found))} of one core, {each_us:.0f} us a message",
        )
        yield _row(
            "memory",
            f"{size(use.resident_bytes)}, of which {size(use.buffer_bytes)} are the last seconds "
            "of the screens",
        )
    if found.proctors:
        spread = tally.latency
        yield _row(
            "live",
            f"99 of 100 segments were with their proctor within {ms(spread.within_us(0.99))}, half "
            f"within {ms(spread.within_us(0.5))}, all within {ms(spread.longest_us)}",
        )
        yield _row("", _came(found))
    yield _row("disk", _disk(found))
    into, out = (bits / 1e6 for bits in bits_a_second(found))
    yield _row("network", f"{into:,.1f} Mbit/s into the server, {out:,.1f} Mbit/s out of it")
    yield _row(
        "screens",
        f"{found.registered:,} registered in {found.register_seconds:.1f} s, and sent "
        f"{tally.sent:,} segments of {size(tally.sent_bytes / tally.sent)}",
    )
    others = found.others_share
    beside = "" if others is None else f"; other programs took {percent(others)} of all cores"
    yield _row(
        "load",
        f"99 of 100 were sent within {ms(tally.lateness.within_us(0.99))} of when they were due, "
        f"at {percent(found.load_cpu_seconds / found.seconds)} of one core{beside}",
    )


def _came(found: Findings) -> str:
    tally, lost = found.tally, undelivered(found)
    if not lost:
        return f"all of {tally.expected:,} came"
    skipped = f" ({tally.skipped:,} were skipped)" if tally.skipped else ""
    return f"{lost:,} of {tally.expected:,} did not come{skipped}"


def _disk(found: Findings) -> str:
    told = f"{size(recorded_rate(found))}/s recorded"
    if found.disk_rate is not None:
        busy = " (when that was tried, it was busy)" if was_disk_busy(found) else ""
        told += f" of {size(found.disk_rate)}/s that it takes in one go{busy}"
    durable = found.use.durable_seconds
    if durable is not None and math.isfinite(durable):
        told += f"; 99 of 100 were on it within {durable:.3g} s"
    if found.tally.acks.count:
        told += f", and acknowledged within {ms(found.tally.acks.within_us(0.99))}"
    return told


def _foretold(found: Findings, verdict: Verdict) -> Iterator[str]:
    near = [limit for limit in verdict.limits if limit.times < MOST_TIMES]
    if not near:
        yield f"Nothing would break up to {MOST_TIMES:g} times that; more is not foretold."
    for place, limit in enumerate(near):
        begin = "First to break" if place == 0 else "Then"
        yield f"{begin}: {limit.what}, at about {_size_at(found, limit)}."
    yield (
        "That is in proportion to what was measured, if screens and proctors grow together and "
        "send as much."
    )


def _size_at(found: Findings, limit: Limit) -> str:
    """The load at a limit, to two digits."""
    screens = count(_rounded(found.screens * limit.times), "screen")
    if not found.proctors:
        return screens
    return f"{screens} and {count(_rounded(found.proctors * limit.times), 'proctor')}"


def _rounded(number: float) -> int:
    """Two digits of it: more are not known."""
    if number < 1:
        return 0
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(number // step * step)


def _row(name: str, told: str) -> str:
    return f"  {name:<9}  {told}"


def plain(found: Findings, verdict: Verdict) -> dict[str, Any]:
    """The same as one JSON object; times are in seconds, sizes in octets."""
    tally, use = found.tally, found.use
    into, out = bits_a_second(found)
    return {
        "verdict": verdict.outcome.name.lower().replace("_", "-"),
        "reasons": list(verdict.blames),
        "doubts": list(verdict.doubts),
        "screens": found.screens,
        "framerate": found.frames_a_second,
        "proctors": found.proctors,
        "streams": found.streams,
        "seconds": found.seconds,
        "registered": found.registered,
        "registerSeconds": found.register_seconds,
        "sent": tally.sent,
        "expected": tally.expected,
        "received": tally.received,
        "skipped": tally.skipped,
        "unsent": tally.unsent,
        "missed": tally.missed,
        "latency": _spread(tally.latency),
        "slowestProctor99": tally.slowest_us / 1e6,
        "acknowledged": _spread(tally.acks),
        "lateness": _spread(tally.lateness),
        "coreShare": core_share(found) if use.has_process else None,
        "residentBytes": round(use.resident_bytes) if use.has_process else None,
        "bufferBytes": round(use.buffer_bytes),
        "recordedBytesPerSecond": recorded_rate(found),
        "diskBytesPerSecond": found.disk_rate,
        "durable99": _finite(use.durable_seconds),
        "queueRatio": tally.queue_ratio,
        "lost": round(use.lost),
        "eventLoopLag": use.late_seconds,
        "bitsPerSecondIn": into,
        "bitsPerSecondOut": out,
        "loadCoreShare": found.load_cpu_seconds / found.seconds,
        "othersShare": found.others_share,
        "limits": [
            {
                "what": limit.what,
                "screens": _rounded(found.screens * limit.times),
                "proctors": _rounded(found.proctors * limit.times),
            }
            for limit in verdict.limits
            if limit.times < MOST_TIMES
        ],
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {
        "half": spread.within_us(0.5) / 1e6,
        "99": spread.within_us(0.99) / 1e6,
        "longest": spread.longest_us / 1e6,
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
