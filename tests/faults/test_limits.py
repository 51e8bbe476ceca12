"""A process that may not open or write as much as it would: no crash, and no half record."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes import media
from tests.faults.evidence import look
from tests.faults.load import ScriptedLoad
from tests.faults.trouble import endure, parts
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.needs import need
from tests.rigs.sentinel import LiveSentinel
from vidlink.model import InitSegment


@contextmanager
def limited(server: Daemon, which: int, soft: int) -> Iterator[None]:
    """The running server may have no more of it than this, meanwhile."""
    pid = server.process.pid
    before = resource.prlimit(pid, which)
    resource.prlimit(pid, which, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, which, before)


def _first_free(server: Daemon) -> int:
    """The descriptor that the server would get next."""
    taken = {int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd")}
    return min(set(range(len(taken) + 1)) - taken)


def test_no_descriptors_left(site: Site) -> None:
    """Where no file can be opened, what is being recorded goes on, and a session that begins
    waits for its files; nobody new gets in, and then everybody again."""
    server = site.start_server()
    load = ScriptedLoad(site.port, 5)
    with load:
        until(lambda: min(load.acknowledged().values(), default=-1) >= 0, what="acknowledged")
        changing = LiveSentinel(site.ws, "changing", "the-session-before-it")
        changing.init()
        sent = {("changing", "the-session-before-it"): {0: changing.segment(0)}}
        changing.acknowledged("the-session-before-it", 0)
        with limited(server, resource.RLIMIT_NOFILE, _first_free(server)):
            changing.session_id = "the-session-meanwhile"
            changing.say(InitSegment("changing", changing.session_id, media.init_segment(b"new")))
            sent["changing", changing.session_id] = {n: changing.segment(n) for n in range(5)}
            with pytest.raises(OSError, match=r"closed|reset"):
                site.get("/healthz")
            before = load.acknowledged()
            time.sleep(3.0)
            assert server.process.poll() is None, server.log()
            assert all(load.acknowledged()[key] > reached for key, reached in before.items())
        # It has gone on; a Sentinel that says nothing for so long would leave time missing.
        later = {n: changing.segment(n) for n in range(5, 25)}
        sent["changing", changing.session_id] |= later
        changing.acknowledged("the-session-meanwhile", 24)
        assert site.get("/healthz")[0] == 200
    promised = load.acknowledged() | {key: max(segments) for key, segments in sent.items()}
    assert server.stop() == 0
    site.start_server()
    found = look(site, promised, load.sent | sent)
    found.check()
    assert found.causes() == set()


def test_few_descriptors(site: Site) -> None:
    """Twenty Sentinels on a server that may open too few files for all of them: some are turned
    away or wait, and what is acknowledged of the others is kept."""
    server = site.start_server(before=[need("prlimit"), "--nofile=48:48"])
    load = ScriptedLoad(site.port)
    with load:
        until(lambda: sum(load.acknowledged().values()) > 100, what="some are acknowledged")
        assert server.process.poll() is None, server.log()
    assert server.stop() == 0
    site.start_server()
    look(site, load.acknowledged(), load.sent).check()


def test_files_too_large(site: Site) -> None:
    """Where files may not grow any more, writes are short at first and then fail: another part
    is begun each time, and all is recorded in the end."""
    found = endure(
        site, lambda server: limited(server, resource.RLIMIT_FSIZE, 400_000), seconds=4.0
    )
    found.check()
    assert min(parts(site.data)) > 1
