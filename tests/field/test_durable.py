"""What was acknowledged is there, whatever becomes of files, and costs nobody else anything.

With the real server: one octet of damage after a kill, folders that somebody removes or moves
under it, a sentinel that sends as fast as it may, and sessions with very many holes. Each file,
each bit and each order is tried without processes, in ``tests/store``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
import websocket

from tests.fakes import media
from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site, until
from tests.rigs.scripted import Sender, Viewer
from tests.rigs.sentinel import LiveSentinel
from vidlink.messages import Ack, DeclareGap, Subscribe
from vidlink.model import Segment

SESSION = "session-0000000001"
PATH = f"/api/v1/sentinels/desk-1/sessions/{SESSION}"


def there(site: Site, count: int) -> list[int]:
    """Those of the first segments that are served."""
    return [n for n in range(count) if site.get(f"{PATH}/segments/{n}")[0] == 200]


def causes(site: Site) -> list[tuple[int | None, int | None, str]]:
    """What is missing of the session."""
    gaps = site.get_json(PATH)["gaps"]
    return [(gap["first"], gap["last"], gap["cause"]) for gap in gaps]


@pytest.mark.parametrize("place", ["init", "segment"])
def test_one_octet(site: Site, place: str) -> None:
    """After a kill, one wrong bit costs what it is in; a check says so before the start, and finds
    nothing new after it."""
    server = site.start_server()
    sentinel = LiveSentinel(site.ws, "desk-1", SESSION)
    sentinel.init()
    for sequence in range(20):
        sentinel.segment(sequence)
    sentinel.acknowledged(SESSION, 19)
    server.kill()
    name, offset, hit = {
        "init": ("part-0000.mp4", 40, None),
        "segment": ("part-0000.mp4", len(media.init_segment()) + 30, 0),
    }[place]
    path = site.data / "recordings" / "desk-1" / SESSION / name
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)
    found = vidlink(site, "fsck", str(site.data))
    assert found.returncode == 1, found.stdout
    site.start_server()
    assert there(site, 20) == [n for n in range(20) if n != hit]
    damaged = [] if hit is None else [(hit, hit, "damaged")]
    assert causes(site) == [*damaged, (None, None, "server-stopped")]
    status, _, film = site.get(f"{PATH}/recording.mp4")
    assert status == 200
    assert b"ftyp" in film[:16]
    site.stop()
    vidlink(site, "fsck", str(site.data), "--repair")
    left = vidlink(site, "fsck", str(site.data))
    assert left.returncode == 0, left.stdout


def _removed(site: Site) -> None:
    shutil.rmtree(site.data / "recordings" / "desk-1" / SESSION)


def _moved(site: Site) -> None:
    os.rename(site.data / "recordings", site.data / "moved")
    os.mkdir(site.data / "recordings")


def _without_records(site: Site) -> None:
    os.remove(site.data / "recordings" / "desk-1" / SESSION / "part-0000.idx")


@pytest.mark.parametrize("change", [_removed, _moved, _without_records])
def test_taken_away(site: Site, change: Callable[[Site], None]) -> None:
    """What is taken away under the server is said and asked for; once the sentinel says that it is
    lost, what came since is acknowledged, and all of that is there after a restart."""
    site.start_server()
    sentinel = LiveSentinel(site.ws, "desk-1", SESSION)
    sentinel.init()
    for sequence in range(5):
        sentinel.segment(sequence)
    sentinel.acknowledged(SESSION, 4)
    change(site)
    for sequence in range(5, 10):
        sentinel.segment(sequence)
    asked = sentinel.wait_for(Ack, lambda ack: bool(ack.missing))
    assert (asked.sequence, asked.missing) == (4, ((0, 4),))
    assert causes(site) == [(0, 4, "damaged")]
    sentinel.say(DeclareGap(SESSION, 0, 4, "not-held"))
    sentinel.acknowledged(SESSION, 9)
    sentinel.close()
    site.stop()
    site.start_server()
    assert there(site, 10) == [5, 6, 7, 8, 9]
    status, _, _ = site.get(f"{PATH}/recording.mp4")
    assert status == 200


def test_flood(site: Site) -> None:
    """One that sends large segments as fast as it may costs an honest one no segment, and a small
    queue is enough for that."""
    site.start_server("--queue-bytes", str(16 << 20))
    honest = Sender("honest", lambda sequence: 10_000)
    stop = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        sentinel = LiveSentinel(site.ws, "desk-1", SESSION)
        sentinel.init()
        filler = media.segment(0, keyframe=True, filler_bytes=1_500_000)
        with suppress(OSError, websocket.WebSocketException):
            while not stop.is_set():
                data = bytearray(media.segment(sent, keyframe=True, filler_bytes=1_500_000))
                assert len(data) == len(filler)
                start = time.time_ns() // 1_000
                sentinel.say(Segment("desk-1", SESSION, sent, start, 200, 5_000, True, bytes(data)))
                sent += 1
        sentinel.close()

    async def both() -> None:
        task = asyncio.ensure_future(honest.run(site.port))
        await asyncio.sleep(1)
        thread = threading.Thread(target=flood)
        thread.start()
        await asyncio.sleep(4)
        stop.set()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(both())
    assert sent > 10

    def recorded() -> bool:
        session = site.get_json(f"/api/v1/sentinels/honest/sessions/{honest.session_id}")
        return bool(session["state"] == "ended" and session["segmentCount"] >= len(honest.sent) - 2)

    until(recorded, what="all of the honest one")
    session = site.get_json(f"/api/v1/sentinels/honest/sessions/{honest.session_id}")
    assert [gap for gap in session["gaps"] if gap["first"] is not None] == []


def test_holes(site: Site) -> None:
    """A session of which every other segment is missing is asked for ten times at once, and no
    viewer of another one waits for that; its answer says where the rest is."""
    site.start_server()
    count = 12_000
    sentinel = LiveSentinel(site.ws, "desk-1", SESSION)
    sentinel.init()
    began = time.time_ns() // 1_000
    first = Segment("desk-1", SESSION, 0, began, 200, 5_000, True, b"")
    for sequence in range(0, 2 * count, 2):
        data = media.segment(sequence, keyframe=True)
        sentinel.say(replace(first, sequence=sequence, data=data))
    until(lambda: site.get_json(PATH)["segmentCount"] == count, what="all of them")
    sender = Sender("other", lambda sequence: 5_000, frames_a_second=20)

    async def watch() -> list[float]:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(sender.run(site.port))
        await asyncio.sleep(1)
        _, viewer = await loop.create_connection(
            lambda: Viewer(site.port, Subscribe("other")), "127.0.0.1", site.port
        )
        await asyncio.sleep(1)
        since = time.monotonic()
        url = site.url + PATH
        await asyncio.gather(*(asyncio.to_thread(urllib.request.urlopen, url) for _ in range(10)))
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return [
            came - sender.sent_seconds[sequence]
            for _, sequence, came in viewer.came
            if sender.sent_seconds[sequence] >= since
        ]

    assert max(asyncio.run(watch())) < 1.0
    session = site.get_json(PATH)
    assert (len(session["spans"]), session["listedTo"]) == (10_000, 19_998)
    page = site.get_json(f"{PATH}/segments?after={session['listedTo']}&limit=5000")
    named = [gap["first"] for gap in page["gaps"] if gap["first"] is not None]
    assert named == list(range(19_999, 2 * count - 1, 2))
