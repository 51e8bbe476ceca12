"""Findings that tests turn as they like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidlink.loadtest.spread import Spread
from vidlink.loadtest.tally import Tally
from vidlink.loadtest.use import Use
from vidlink.loadtest.verdict import Findings, Settings

SETTINGS = Settings(buffer_seconds=20.0, buffer_total_bytes=2_000_000_000, sentinels=5_000)


def spread(*times_ms: float) -> Spread:
    """A spread of these times."""
    made = Spread()
    for one in times_ms:
        made.add(round(one * 1_000))
    return made


def tally(**turned: Any) -> Tally:
    """The tally of ten seconds of 100 screens at 5 frames a second, of 10 kB each, with 5
    proctors of 30 screens."""
    usual: dict[str, Any] = {
        "sent": 5_000,
        "sent_bytes": 50_000_000,
        "expected": 7_500,
        "received": 7_500,
        "received_bytes": 75_000_000,
        "slowest_us": 12_000,
        "queue_ratio": 0.01,
        "latency": spread(1, 2, 12),
        "lateness": spread(0.5, 1),
        "acks": spread(900),
    }
    return Tally(**{**usual, **turned})


USE = Use(
    seconds=10.0,
    has_process=True,
    cpu_seconds=2.0,
    resident_bytes=200e6,
    descriptors=310,
    most_descriptors=20_000,
    buffer_bytes=100e6,
    recorded_bytes=50e6,
    troubled=0,
    lost=0,
    durable_seconds=1.0,
    late_seconds=0.01,
)
FOUND = Findings(
    screens=100,
    proctors=5,
    streams=30,
    frames_a_second=5.0,
    seconds=10.0,
    registered=100,
    register_seconds=0.4,
    failures={},
    tally=tally(),
    use=USE,
    load_cpu_seconds=1.0,
    others_share=0.05,
    disk_rate=100e6,
    available_bytes=8_000_000_000,
    settings=SETTINGS,
)


def turned(**wishes: Any) -> Findings:
    """The findings with something turned; what belongs to tally or use goes there."""
    names = {name for name in wishes if name in Tally.__slots__}
    uses = {name for name in wishes if name in Use.__slots__ and name != "seconds"}
    rest = {name: value for name, value in wishes.items() if name not in names | uses}
    return replace(
        FOUND,
        tally=tally(**{name: wishes[name] for name in names}),
        use=replace(USE, **{name: wishes[name] for name in uses}),
        **rest,
    )
