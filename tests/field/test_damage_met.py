"""Damage on the disk that nobody knew of, met by whoever reads: with real daemons."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.request import urlopen

import pytest

from tests.fakes import media
from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site, until
from tests.rigs.sentinel import LiveSentinel
from vidlink.messages import BackfillDone, Tail

SESSION = "session-0000000001"
PATH = f"/api/v1/sentinels/desk-1/sessions/{SESSION}"
COUNT = 30


def live(site: Site) -> LiveSentinel:
    """A session that is being recorded."""
    sentinel = LiveSentinel(site.ws, "desk-1", SESSION)
    sentinel.init()
    for sequence in range(COUNT):
        sentinel.segment(sequence)
    sentinel.acknowledged(SESSION, COUNT - 1)
    return sentinel


def ended(site: Site) -> None:
    """One that has ended, and may still be filled."""
    live(site).close()
    until(lambda: site.get_json(PATH)["state"] == "ended")


def sealed(site: Site) -> None:
    """One that is sealed."""
    ended(site)
    again = LiveSentinel(site.ws, "desk-1", "session-0000000002", Tail(SESSION, 0, COUNT - 1))
    again.init(SESSION)
    again.say(BackfillDone(SESSION))
    until(lambda: site.get_json(PATH)["state"] == "sealed")
    again.close()


def flip(site: Site, *sequences: int) -> None:
    """Make an octet of these segments wrong."""
    path = site.data / "recordings" / "desk-1" / SESSION / "part-0000.mp4"
    data = bytearray(path.read_bytes())
    for sequence in sequences:
        own = media.segment(sequence)
        data[data.index(own) + len(own) - 3] ^= 0x20
    path.write_bytes(data)


def met(site: Site, path: str) -> bool:
    """True if an answer tells of damage, or breaks off for it."""
    try:
        status, headers, body = site.get(path)
    except OSError:
        return True
    return status == 500 or len(body) < int(headers["Content-Length"])


def named(site: Site) -> set[int]:
    """The sequences of the session that are said to be damaged."""
    gaps = [gap for gap in site.get_json(PATH)["gaps"] if gap["cause"] == "damaged"]
    return {one for gap in gaps for one in range(gap["first"], gap["last"] + 1)}


def told(site: Site) -> dict[str, set[int]]:
    """What is missing of the session, by whom it is asked."""
    everything = set(range(COUNT))
    page = site.get_json(f"{PATH}/segments?limit=1000")
    playlist = site.get(f"{PATH}/index.m3u8")[2].decode()
    spread = re.findall(r"segments/(\d+)-(\d+)\.mp4", playlist)
    _, _, body = site.get(f"{PATH}/segments/0-{COUNT - 1}")
    return {
        "session": named(site),
        "listing": everything - {one["sequence"] for one in page["segments"]},
        "media": {one for one in everything if media.segment(one) not in body},
        "playlist": {one for one in (3, 17) if not any(int(a) <= one <= int(b) for a, b in spread)},
        "one by one": {one for one in everything if site.get(f"{PATH}/segments/{one}")[0] == 404},
    }


@pytest.mark.parametrize(
    ("record", "what"),
    [(sealed, "recording.mp4"), (ended, f"segments/0-{COUNT - 1}"), (live, "recording.mp4")],
)
def test_met_once(site: Site, record: Callable[[Site], LiveSentinel | None], what: str) -> None:
    """An octet of two segments is wrong; a film or a range that is fetched meets it, and from then
    on session, listing, playlist, ranges and film name the same gap, after a kill too. What was
    handed out before is refused or as it was; a check finds nothing left to do, and an export names
    the gap."""
    site.start_server()
    sentinel = record(site)
    with urlopen(f"{site.url}{PATH}/recording.mp4") as answer:
        opened, before = answer.url.removeprefix(site.url), answer.headers["ETag"]
    lost = {3, 17}
    flip(site, *lost)
    known = named(site)

    def is_stated() -> bool:
        return named(site) != known

    while known != lost:
        # It breaks off at the first that it meets.
        assert met(site, f"{PATH}/{what}")
        until(is_stated, what="it is stated")
        known = named(site)
    everywhere = dict.fromkeys(told(site), lost)
    until(lambda: told(site) == everywhere, what="all of them tell the same")
    status, headers, film = site.get(f"{PATH}/recording.mp4")
    assert (status, len(film)) == (200, int(headers["Content-Length"]))
    assert headers["ETag"] != before
    assert not any(media.segment(one) in film for one in lost)
    if "version=" in opened:
        assert site.get(opened)[0] == 412
    assert site.get(f"{PATH}/recording.mp4", {"If-Match": before})[0] == 412
    if sentinel is not None:
        sentinel.close()
    assert 'vidlink_gaps_total{cause="damaged"} 2.0' in site.get("/metrics")[2].decode()
    site.stop()
    assert vidlink(site, "fsck", str(site.data)).returncode == 0
    site.start_server()
    assert told(site) == everywhere
    exported = vidlink(site, "export", "desk-1", SESSION, "-o", "x.mp4")
    assert b"damaged" in exported.stdout + exported.stderr, exported
