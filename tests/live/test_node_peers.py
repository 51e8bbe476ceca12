"""Peers that know nothing of our code, written from the wire reference, with the real server."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.live.nodes import NodePeer, Nodes, as_sent, film
from tests.rigs.cached import INSTALL_SECONDS
from tests.rigs.daemons import Site, until
from tests.rigs.proctor import LiveProctor
from vidlink.messages import FramerateChange, Sentinels

FORMATS = ("binary", "json")

#: The first of them may have to install packages.
pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Peers in Node, none yet."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    peers = Nodes(folder)
    yield peers
    peers.stop()


def _kept(nodes: Nodes, name: str) -> Path:
    """A folder for what a proctor keeps."""
    folder = nodes.folder / name
    folder.mkdir()
    return folder


def _frames(data: bytes) -> int:
    """How many pictures decode from `data`."""
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def _told(peer: NodePeer, kind: str) -> list[dict[str, object]]:
    """The messages of `kind` that a proctor has printed."""
    lines = [json.loads(line) for line in peer.said().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("type") == kind]


def test_every_pair_of_formats(site: Site, nodes: Nodes) -> None:
    """A sentinel and a proctor in Node, each in JSON or in binary: every octet that the one has
    sent arrives at the other, and all of it is recorded and decodes."""
    path = film(nodes.folder / "film.mp4", seconds=4, rate=10, keyframe_every=1000)
    sent = as_sent(path)
    site.start_server()
    sentinels, proctors = {}, {}
    for format in FORMATS:
        for other in FORMATS:
            folder = _kept(nodes, f"{format}-{other}")
            arguments = (site.ws, f"desk-{format}", str(folder), other)
            proctors[folder] = nodes.start("proctor", *arguments)
    for format in FORMATS:
        sentinels[format] = nodes.start("sentinel", site.ws, f"desk-{format}", str(path), format)
    for format, sentinel in sentinels.items():
        assert sentinel.process.wait(60) == 0, sentinel.said()
        assert "recorded up to 39, " in sentinel.said()
        (row,) = site.get_json(f"/api/v1/sessions?sentinel=desk-{format}")["sessions"]
        base = f"/api/v1/sentinels/desk-{format}/sessions/{row['sessionId']}"
        assert site.get(f"{base}/init.mp4")[2] + site.get(f"{base}/segments/0-39")[2] == sent
    for folder, proctor in proctors.items():
        until(partial(_told, proctor, "session.ended"), what="it is told of the end")
        (subscribed,) = (row for row in _told(proctor, "subscribed") if row.get("sessionId"))
        (file,) = folder.iterdir()
        assert file.name == f"{subscribed['sessionId']}.mp4"
        assert (subscribed["width"], subscribed["height"]) == (320, 180)
        assert file.read_bytes() == sent, folder.name
        assert _frames(sent) == 40


def test_after_the_server_was_gone(site: Site, nodes: Nodes) -> None:
    """Both come back by themselves after the server was killed: the sentinel with a new session,
    which the proctor is shown without anybody's help."""
    path = film(nodes.folder / "film.mp4", seconds=60, rate=5, keyframe_every=5)
    folder = _kept(nodes, "kept")
    server = site.start_server()
    nodes.start("sentinel", site.ws, "desk-1", str(path))
    proctor = nodes.start("proctor", site.ws, "desk-1", str(folder))
    first = site.live_session("desk-1")
    until(lambda: (folder / f"{first}.mp4").exists(), what="the first session is kept")
    server.kill()
    site.start_server()
    second = site.live_session("desk-1", other_than=first)
    kept = folder / f"{second}.mp4"
    until(lambda: kept.exists() and kept.stat().st_size > 20_000, what="the second one is kept")
    proctor.process.kill()
    proctor.process.wait()
    assert _frames(kept.read_bytes()) > 2


def test_asked_for_fewer_frames(site: Site, nodes: Nodes) -> None:
    """A frame rate that a proctor asks for is the one that comes from then on, and in the list."""
    path = film(nodes.folder / "film.mp4", seconds=60, rate=5, keyframe_every=5)
    site.start_server()
    nodes.start("sentinel", site.ws, "desk-1", str(path))
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws)
    proctor.say(FramerateChange("desk-1", 1000))

    def slow() -> list[float]:
        rows = site.recorded("desk-1", session, 1)
        times = [row["startTime"] / 1e6 for row in rows if row["framerate"] == 1]
        return times if len(times) >= 4 else []

    times = until(slow, what="four frames, one a second")
    for earlier, later in pairwise(times):
        assert 0.9 < later - earlier < 1.1
    proctor.wait_for(
        Sentinels, lambda message: any(row.framerate_mhz == 1000 for row in message.sentinels)
    )
    proctor.close()


def test_an_id_that_is_taken(site: Site, nodes: Nodes) -> None:
    """A second sentinel with the id of a live one is told so, and waits a minute; the first one
    notices nothing."""
    path = film(nodes.folder / "film.mp4", seconds=60, rate=5, keyframe_every=5)
    site.start_server()
    first = nodes.start("sentinel", site.ws, "desk-1", str(path))
    session = site.live_session("desk-1")
    second = nodes.start("sentinel", site.ws, "desk-1", str(path))
    waits = until(
        lambda: re.search(r"id-in-use: .*\nclosed with 4410; again in ([0-9.]+) s", second.said()),
        what="it is refused",
    )
    assert waits is not None
    assert float(waits[1]) >= 60
    until(lambda: "recorded up to" in first.said(), what="the first one goes on")
    assert site.live_session("desk-1") == session
    assert "closed" not in first.said()


def test_our_sentinel(site: Site, nodes: Nodes) -> None:
    """A proctor in Node keeps what VidLink's own sentinel sends, as a file that plays."""
    folder = _kept(nodes, "kept")
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5")
    proctor = nodes.start("proctor", site.ws, "desk-1", str(folder), "json")
    file = folder / f"{site.live_session('desk-1')}.mp4"
    until(lambda: file.exists() and file.stat().st_size > 20_000, what=proctor.said())
    proctor.process.kill()
    proctor.process.wait()
    assert _frames(file.read_bytes()) > 2
