"""Sentinels that send a segment of many frames every few seconds, or frames by the handful."""

from __future__ import annotations

import time

from tests.rigs.daemons import Site
from tests.rigs.foreign import EACH_FRAME, EACH_INTERVAL, Film, connect, film


def _states(site: Site, made: Film, batch: int, seconds: float, rounds: int) -> list[str]:
    """Send so many pieces at once, each time; what the list says meanwhile, from the first on."""
    sentinel = connect(site, made, "long")
    states: list[str] = []
    for number in range(0, batch * rounds, batch):
        for piece in range(number, number + batch):
            sentinel.say(made.segment(piece, "long", sentinel.session_id))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            states.append(site.status_of("long")["state"])
            time.sleep(0.2)
    sentinel.close()
    return states


def test_segments_of_four_seconds(site: Site) -> None:
    """A sentinel whose segments last four seconds is live between them."""
    site.start_server()
    made = film(8, gop=20, movflags=EACH_INTERVAL)
    assert len(made.pieces) == 2
    assert set(_states(site, made, 1, 4, 2)) == {"live"}


def test_frames_by_the_handful(site: Site) -> None:
    """One that says that each frame lasts a fifth of a second, and sends twenty at a time, is live
    once it has done so twice."""
    site.start_server()
    states = _states(site, film(16, movflags=EACH_FRAME), 20, 4, 4)
    assert set(states[len(states) // 2 + 1 :]) == {"live"}
