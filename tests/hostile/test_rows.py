"""Every row of the table, against one server with credentials, beside a room that is watched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.hostile.rows import PROCTOR, ROWS, SLOW, Row
from tests.hostile.target import MIB, MOST_DELAY_MS, SLACK, Target, code_of
from tests.rigs.scripted import p99
from vidlink.model import Role

#: A revoked credential's sockets are closed within this.
REVOKED_SECONDS = 5.0


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for the whole table, as strangers come one after another."""
    found = Target(tmp_path_factory.mktemp("hostile") / "site")
    yield found
    found.watched.stop()
    found.site.stop()


@contextmanager
def bounded(target: Target, *rows: Row) -> Iterator[None]:
    """What is done in it takes no longer, costs no more and grows the server no more than the
    `rows` say, and whoever watches does not notice."""
    target.forget_peak()
    before, began = target.usage(), time.monotonic()
    yield
    took = time.monotonic() - began
    after = target.usage()
    delays = target.watched.since(began)
    assert took < SLACK * max(row.usual_seconds for row in rows)
    grown = (after.peak_bytes - before.resident_bytes) / MIB
    assert grown < SLACK * sum(row.usual_mib for row in rows), f"{grown:.1f} MiB more"
    spent = after.processor_seconds - before.processor_seconds
    allowed = SLACK * (sum(row.usual_processor_seconds for row in rows) + target.quiet_share * took)
    assert spent < allowed, f"{spent:.2f} s of a processor in {took:.2f} s"
    assert target.watched.gaps() == []
    most = max(MOST_DELAY_MS, SLACK * target.quiet_ms)
    assert p99(delays) < most, f"{delays[-5:]} ms, beside {target.quiet_ms} ms"


@pytest.mark.quiet
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.fault}-{row.name}" for row in ROWS])
def test_row(target: Target, row: Row) -> None:
    """It gets what the table says, in time, and costs little; nobody who watches notices."""
    with bounded(target, row):
        met = row.act(target)
    assert met == row.expected


@pytest.mark.quiet
def test_slow(target: Target) -> None:
    """Whoever takes its time is dropped in time, at every point where one may wait."""
    with bounded(target, *SLOW), ThreadPoolExecutor(len(SLOW)) as pool:
        met = list(pool.map(lambda row: row.act(target), SLOW))
    assert {row.name: one for row, one in zip(SLOW, met, strict=True)} == {
        row.name: row.expected for row in SLOW
    }


@pytest.mark.quiet
def test_revoked(target: Target) -> None:
    """The sockets of a credential that is revoked are closed within seconds, and it is let in
    nowhere any more."""
    token = target.token("leaving", Role.PROCTOR)
    listing = "/api/v1/sentinels"
    while target.get(listing, token=token) != 200:
        time.sleep(0.1)
    with target.open(PROCTOR, token).link as link:
        target.revoke("leaving")
        began = time.monotonic()
        assert code_of(link) == 4401
        assert time.monotonic() - began < REVOKED_SECONDS
    assert target.get(listing, token=token) in (401, 429)
    assert target.shake(PROCTOR, token=token) in (401, 429)


@pytest.mark.quiet
def test_nobody_noticed(target: Target) -> None:
    """All that was tried together has cost no segment, and no error of ours; the table has at
    least sixty rows, of each kind of fault."""
    assert len(ROWS) + len(SLOW) >= 60
    assert {row.fault for row in (*ROWS, *SLOW)} == set(range(21, 36))
    target.watched.look()
    assert target.watched.gaps() == []
    assert p99(sorted(one.delay_ms for one in target.watched.seen)) < MOST_DELAY_MS
    log = target.server.log()
    assert "Traceback" not in log
    assert "#critical" not in log
