"""Whether what was captured is in the recordings: a journal against what history serves."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from tests.rigs.daemons import Site
from tests.rigs.journal import Session, media_crc32
from vidlink.server.api.parameters import MAX_RANGE, MAX_SEGMENTS


def base(sentinel_id: str, session_id: str) -> str:
    """The path of a session."""
    return f"/api/v1/sentinels/{sentinel_id}/sessions/{session_id}"


def listed(site: Site, sentinel_id: str, session_id: str) -> list[dict[str, Any]]:
    """Every segment of a session, as listed."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = site.get_json(
            f"{base(sentinel_id, session_id)}/segments?limit={MAX_SEGMENTS}{after}"
        )
        rows += page["segments"]
        if page["next"] is None:
            return rows
        after = f"&after={page['next']}"


def sessions(site: Site, sentinel_id: str) -> list[dict[str, Any]]:
    """Every session of a Sentinel, as listed."""
    found: list[dict[str, Any]] = site.get_json(f"/api/v1/sessions?sentinel={sentinel_id}")[
        "sessions"
    ]
    return found


def check_whole(site: Site, session: Session, last: int) -> None:
    """Everything captured up to `last` is listed once, in order, with the octets captured; of a
    session whose times were corrected, with the same media; and nothing is there besides."""
    rows = listed(site, session.sentinel_id, session.session_id)
    sequences = [row["sequence"] for row in rows]
    wanted = sorted(session.captured)
    missing = [number for number in wanted if number <= last and number not in set(sequences)]
    assert not missing, (session.session_id, missing)
    assert sequences == wanted[: len(sequences)], f"{session.session_id} is out of order"
    for place in range(0, len(rows), MAX_RANGE):
        _check_octets(site, session, rows[place : place + MAX_RANGE])


def _check_octets(site: Site, session: Session, rows: list[dict[str, Any]]) -> None:
    first, last = rows[0]["sequence"], rows[-1]["sequence"]
    path = base(session.sentinel_id, session.session_id)
    status, _, body = site.get(f"{path}/segments/{first}-{last}")
    assert status == 200, (status, body)
    place = 0
    for row in rows:
        data = body[place : place + row["size"]]
        place += row["size"]
        _, whole, media = session.captured[row["sequence"]]
        assert media_crc32(data) == media, (session.session_id, row)
        assert not session.is_exact or crc32(data) == whole, (session.session_id, row)
    assert place == len(body)
