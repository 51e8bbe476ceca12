"""Films by ticket in stock players: they have an address and nothing else, and go to and fro."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.needs import need
from tests.rigs.players import Mpv, NewestFFmpeg, SystemFFmpeg

#: Times to go to, forth and back, in seconds.
PLACES = (0.0, 1.6, 0.4, 2.0)


def token(site: Site, *words: str) -> str:
    """A token, as an operator makes it."""
    command = [str(Path(sys.executable).with_name("vidlink")), "token", "add", *words]
    done = subprocess.run(
        [*command, "--data", str(site.data)], capture_output=True, text=True, timeout=60, check=True
    )
    return next(word for word in done.stdout.split() if word.startswith("vidlink_"))


def ticket(site: Site, secret: str, path: str) -> str:
    """The address of `path` with a ticket in it."""
    request = urllib.request.Request(
        f"{site.url}/api/v1/tickets",
        json.dumps({"path": path}).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return site.url + str(json.loads(answer.read())["url"])


def stream(site: Site) -> tuple[Daemon, str, str]:
    """A server that asks for credentials, the path of a session of its, and a proctor's token."""
    server = site.start_server()
    site.start_sentinel("desk-1", "--keyframe-interval", "1")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 13)
    secret = token(site, "script", "--role", "proctor", "--all-groups")
    # From now on somebody has to show who they are, and the sentinel is out.
    until(lambda: site.get("/api/v1/me")[0] == 401, what="the server asks")
    return server, f"/api/v1/sentinels/desk-1/sessions/{session}", secret


def test_film(site: Site) -> None:
    """A film that still moves to where it stays is played by ticket, to and fro; the ticket
    opens nothing else, and the log repeats neither it nor the token."""
    server, place, secret = stream(site)
    for player in (SystemFFmpeg(), Mpv(), NewestFFmpeg()):
        url = ticket(site, secret, f"{place}/recording.mp4")
        shown = player.shown(url, PLACES)
        numbers = [number for number in shown if number is not None]
        assert numbers == shown, player.name
        order = sorted(range(len(PLACES)), key=PLACES.__getitem__)
        assert [numbers[where] for where in order] == sorted({*numbers}), (player.name, shown)
        shows = url.partition("?")[2]
        for path in (f"{place}/index.m3u8", f"{place}/segments", "/api/v1/sentinels", place):
            assert site.get(f"{path}?{shows}")[0] == 401, (player.name, path)
        assert shows.partition("=")[2] not in server.log()
    assert secret not in server.log()


def test_list(site: Site) -> None:
    """A list is played to its end by ticket, with its segments, by FFmpeg and mpv."""
    _, place, secret = stream(site)
    listed = f"{place}/index.m3u8"
    pictures = SystemFFmpeg().played(ticket(site, secret, listed), 0, 2, 5)
    assert len(pictures) == 10
    assert None not in pictures
    shown = NewestFFmpeg().shown(ticket(site, secret, listed), PLACES)
    assert None not in shown
    quiet = ["--no-config", "--vo=null", "--ao=null", "--untimed", "--msg-level=all=error"]
    done = subprocess.run(
        [need("mpv"), *quiet, ticket(site, secret, listed)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout + done.stderr == ""
