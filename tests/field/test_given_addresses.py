"""What was given out does not move: whatever a player holds the address of stays what it was."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from tests.rigs.daemons import Site, until
from tests.rigs.foreign import Film, connect, film
from tests.rigs.needs import need
from tests.rigs.sentinel import LiveSentinel
from vidlink.model import Segment

MADE: dict[str, Film] = {}


def made() -> Film:
    """Twelve seconds of pictures."""
    return MADE.setdefault("film", film(12))


def send(sentinel: LiveSentinel, numbers: range) -> None:
    """Send these pieces, until they are recorded."""
    for number in numbers:
        sentinel.say(made().segment(number, sentinel.sentinel_id, sentinel.session_id))
    sentinel.acknowledged(sentinel.session_id, numbers[-1])


def opened(site: Site, path: str) -> str:
    """The path at which a player is that has opened `path`."""
    with urlopen(site.url + path) as answer:
        return str(answer.url.removeprefix(site.url))


def test_live_recording(site: Site) -> None:
    """A live recording is opened, grows, and the player seeks by a range of its own, without a
    condition: it gets the octets that were there when it was opened; of a time range too."""
    site.start_server()
    sentinel = connect(site, made(), "grows")
    base = f"/api/v1/sentinels/grows/sessions/{sentinel.session_id}/"
    send(sentinel, range(30))
    start = made().began_us + 1_500_000
    for asked in ("recording.mp4", f"recording.mp4?start={start}"):
        path = opened(site, base + asked)
        before = site.get(path)[2]
        place = len(before) // 2
        newest = int(site.recorded("grows", sentinel.session_id, 30)[-1]["sequence"])
        send(sentinel, range(newest + 1, newest + 11))
        status, headers, part = site.get(path, {"Range": f"bytes={place}-"})
        assert (status, part) == (206, before[place:])
        assert "immutable" in headers["Cache-Control"]
        assert opened(site, base + asked) != path
    sentinel.close()


def test_late_segments(site: Site) -> None:
    """What comes late into the middle changes the recording, but not the one that was opened; a
    server that does not remember that one any more refuses it, and gives nothing else for it."""
    server = site.start_server()
    sentinel = connect(site, made(), "fills")
    session = sentinel.session_id
    base = f"/api/v1/sentinels/fills/sessions/{session}/"
    send(sentinel, range(12))
    for number in range(20, 40):
        sentinel.say(made().segment(number, "fills", session))
    until(lambda: len(site.recorded("fills", session, 32)) == 32, what="all but eight")
    path = opened(site, base + "recording.mp4")
    before = site.get(path)[2]
    for number in range(12, 20):
        sentinel.say(late(made(), number, sentinel))
    until(lambda: len(site.recorded("fills", session, 40)) == 40, what="all")
    assert opened(site, base + "recording.mp4") != path
    status, _, part = site.get(path, {"Range": "bytes=900-"})
    assert (status, part) == (206, before[900:])
    sentinel.close()
    assert server.stop() == 0
    site.start_server()
    status, _, body = site.get(path, {"Range": "bytes=900-"})
    assert (status, b"precondition-failed" in body) == (412, True)
    # What a playlist has named is named still, and is still what it was.
    text = site.get(base + "index.m3u8")[2].decode()
    first = next(line for line in text.splitlines() if line.startswith("segments/"))
    sent = b"".join(piece.data for piece in made().pieces[:10])
    assert (first, site.get(urljoin(base, first))[2]) == ("segments/0-9.mp4", sent)


def late(of: Film, number: int, sentinel: LiveSentinel) -> Segment:
    """A piece that comes late."""
    return replace(of.segment(number, sentinel.sentinel_id, sentinel.session_id), is_late=True)


def test_a_player_stays(site: Site, tmp_path: Path) -> None:
    """FFmpeg, sent to where a live recording stays, asks there for everything else: however it
    grows meanwhile, it reads all of what was there when it was opened, at the pace of playing."""
    site.start_server()
    sentinel = connect(site, made(), "plays")
    base = f"/api/v1/sentinels/plays/sessions/{sentinel.session_id}/"
    send(sentinel, range(20))
    command = [need("ffmpeg"), "-v", "error", "-re", "-ss", "1", "-i"]
    command += [f"{site.url}{base}recording.mp4", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    player = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        send(sentinel, range(20, 60))
        out, complaints = player.communicate(timeout=30)
    finally:
        player.kill()
    sentinel.close()
    frames = [line for line in out.splitlines() if line.startswith(b"0,")]
    assert (len(frames), complaints) == (15, b"")
