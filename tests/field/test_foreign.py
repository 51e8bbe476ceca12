"""Films of other people's encoders, recorded as they come."""

from __future__ import annotations

import pytest

from tests.rigs.daemons import Site
from tests.rigs.foreign import EACH_FRAME, EACH_INTERVAL, film, record


@pytest.mark.parametrize(
    ("bframes", "movflags", "segments"), [(0, EACH_FRAME, 20), (2, EACH_INTERVAL, 2)]
)
def test_recorded(site: Site, bframes: int, movflags: str, segments: int) -> None:
    """A film is listed with every segment that was sent, each octet of it."""
    site.start_server()
    made = film(4, bframes=bframes, movflags=movflags)
    session = record(site, made, "foreign")
    assert len(site.recorded("foreign", session.session_id, segments)) == segments
    sent = b"".join(piece.data for piece in made.pieces)
    assert site.get(f"{session.path}/segments/0-{segments - 1}")[2] == sent
