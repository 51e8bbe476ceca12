"""A thousand Sentinels that come back at once: the server takes them in, and nobody else waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rigs.daemons import Site
from tests.rigs.namespace import joined_namespace
from tests.rigs.reconnection import Reconnection
from tests.rigs.scripted import p99

COUNT = 1_000
#: What is promised is 5 s.
REGISTERED_SECONDS = 25.0
#: What is promised. Without a door, viewers waited for three seconds.
WAIT_MS = 100.0
#: Python looks through what is young alone; through all it would take ten times as long.
COLLECTION_SECONDS = 0.03


@pytest.mark.quiet
@pytest.mark.timeout(300)
def test_a_thousand_at_once(tmp_path: Path) -> None:
    """A thousand Sentinels come back at once, after their network was cut and after the server
    was killed: all are registered within seconds. Viewers of ten others, whose network was whole,
    miss nothing and hardly wait."""
    with joined_namespace() as network:
        site = Site(tmp_path)
        try:
            course = Reconnection(site, network, COUNT)
            course.run(tmp_path)
        finally:
            site.stop()
    assert course.first_seconds < REGISTERED_SECONDS
    assert course.cut_seconds < REGISTERED_SECONDS
    assert course.killed_seconds < REGISTERED_SECONDS
    course.check_viewers()
    assert p99(course.storm_ms) < 5 * max(p99(course.calm_ms), WAIT_MS)
    assert course.collection_seconds < 5 * COLLECTION_SECONDS
    assert not any("Traceback" in log for log in course.logs)
