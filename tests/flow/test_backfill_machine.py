"""A Sentinel that captures through anything: what was captured is recorded, or named as lost."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.links.memory import MemoryServer
from tests.links.uplink.uplinked import SENTINEL, Uplinked
from tests.sentinel.spool.rig import Rig as SpoolRig
from tests.store.rig import Rig
from vidlink.model import Segment, SegmentQuery, SessionState
from vidlink.store.sequences.gaps import FINAL_CAUSES

#: Some twenty of the segments, and more than all of them.
SMALL, LARGE = 20_000, 1 << 26
COUNTS = st.integers(1, 12)
#: So many seconds it may take in the end until everything is where it should be.
PATIENCE = 400


class Backfill(RuleBasedStateMachine):
    """One Sentinel and the real recording, whose server dies and whose connection breaks."""

    @initialize(
        size=st.sampled_from([SMALL, LARGE, LARGE]),
        behind=st.sampled_from([0, 7_000_000]),
        on_disk=st.booleans(),
    )
    def start(self, size: int, behind: int, on_disk: bool) -> None:
        """The Sentinel starts, and there is no connection."""
        self.folder = tempfile.mkdtemp()
        self.starts = 0
        self.rig = Rig(f"{self.folder}/0")
        self.size = LARGE if on_disk else size
        self.desk = (
            SpoolRig(f"{self.folder}/spool", LARGE, sentinel_id=SENTINEL) if on_disk else None
        )
        self.all = Uplinked(
            self.rig.store.ledger,
            spool=self.desk and self.desk.spool,
            spool_bytes=size,
            behind_us=behind,
        )
        self.seen: list[Segment] = []
        self.all.watch()

    @rule(count=COUNTS)
    def captures(self, count: int) -> None:
        """Frames are captured, whatever there is to send them on."""
        self.all.shoot(count)

    @precondition(lambda self: self.all.capture.epoch > 1)
    @rule()
    def captured_before(self) -> None:
        """A frame comes that was captured before the newest session was asked for."""
        if 0 < self.all.shot_epoch < self.all.capture.epoch:
            self.all.shoot(epoch=self.all.shot_epoch)

    @precondition(lambda self: self.all.shot_epoch + 1 < self.all.capture.epoch)
    @rule()
    def begun_before(self) -> None:
        """A frame comes that begins a session which was asked for before the newest one."""
        self.all.shoot(epoch=self.all.capture.epoch - 1)

    @rule()
    def other_size(self) -> None:
        """The picture changes in size."""
        self.all.capture.begin_session()
        self.all.shoot()

    @rule()
    def too_large(self) -> None:
        """A frame is larger than the server takes."""
        self.all.shoot(size=self.all.limits.max_segment_bytes)

    @precondition(lambda self: self.all.link is None)
    @rule()
    def connects(self) -> None:
        """There is a connection."""
        self.all.connect()

    @precondition(lambda self: self.all.link is not None)
    @rule(up=st.integers(0, 40), down=st.integers(0, 40))
    def carries(self, up: int, down: int) -> None:
        """Messages arrive, each way."""
        self.all.carry(up, down)

    @precondition(lambda self: self.all.link is not None)
    @rule()
    def breaks(self) -> None:
        """The connection breaks, wherever it was."""
        self.all.cut()

    @precondition(lambda self: self.all.link is not None)
    @rule()
    def chokes(self) -> None:
        """The socket takes nothing, or it does again."""
        assert self.all.link is not None
        if self.all.link.choked:
            self.all.link.open_up()
        else:
            self.all.link.choked = True

    @rule(count=st.integers(1, 4), writes=st.booleans())
    def seconds(self, count: int, writes: bool) -> None:
        """Time passes, with or without anything reaching the disk."""
        for _ in range(count):
            self.second(writes)

    def second(self, writes: bool = True) -> None:
        """One second."""
        if writes:
            self.rig.settle()
        self.read()
        self.all.second()
        self.read()
        self.look()

    def read(self) -> None:
        """What is asked of the spool on disk is answered, and what came to it is written."""
        if self.desk is not None:
            self.desk.write()
            self.desk.answer()

    def look(self) -> None:
        """The Proctor reads what it is sent."""
        assert self.all.proctor is not None
        self.seen += [one for one in self.all.proctor.read() if isinstance(one, Segment)]

    @rule()
    def sentinel_dies(self) -> None:
        """The Sentinel's process is killed, and the next one finds what has outlived it. (What is
        in memory counts for a spool whose disk is always up to date.)"""
        self.all.cut()
        if self.desk is not None:
            self.desk.settle()
            self.desk.again()
            self.all.spool.spool = self.desk.spool
        self.all.reborn()

    @rule()
    def is_killed(self) -> None:
        """The server is killed, and started again; what it had not written is gone."""
        self.look()
        self.all.cut()
        self.starts += 1
        self.rig = self.rig.killed(f"{self.folder}/{self.starts}")
        self.all.server = MemoryServer(store=self.rig.store.ledger, clock=self.all.clock)
        self.all.watch()

    def teardown(self) -> None:
        """In the end there is a connection that lasts."""
        try:
            self.finish()
            self.check()
        finally:
            self.rig.close()
            if self.desk is not None:
                self.desk.kill()
            shutil.rmtree(self.folder)

    def finish(self) -> None:
        """The last session becomes an earlier one, and time passes."""
        if self.all.link is not None:
            self.all.cut()
        for _ in range(2):
            self.all.online()
            self.all.shoot()
            for _ in range(PATIENCE):
                self.second()
                waiting = self.all.spool.sessions()
                if len(waiting) == 1 and waiting[0].acknowledged == waiting[0].newest:
                    break
            else:
                raise AssertionError(f"after {PATIENCE} s this waits: {waiting}")
            self.live_id = self.all.uplink.live.session_id
            self.all.cut()

    def check(self) -> None:
        """Everything is recorded once and as it was, or a gap names it; nothing late was seen."""
        assert not any(segment.is_late for segment in self.seen)
        given_up = self.all.spool.given_up
        for session_id, captured in self.all.spool.captured.items():
            record = self.result(self.rig.store.archive.session(SENTINEL, session_id))
            if session_id != self.live_id:
                assert record.state is SessionState.SEALED, (session_id, record.state)
            listed = self.listed(session_id)
            assert len(set(listed)) == len(listed)
            lost = {
                number
                for gap in record.gaps
                if gap.first is not None and gap.last is not None
                for number in range(gap.first, gap.last + 1)
            }
            assert all(gap.cause in FINAL_CAUSES for gap in record.gaps), record.gaps
            newest = max([*captured, *given_up.get(session_id, ())])
            assert set(listed) | lost == set(range(newest + 1))
            if self.size == LARGE:
                assert lost == given_up.get(session_id, set()), (lost, given_up)
            for number in listed:
                assert self.recorded(session_id, number) == self.all.spool.original(
                    session_id, number
                )

    def listed(self, session_id: str) -> list[int]:
        """The sequences that history lists."""
        query = SegmentQuery(limit=10_000)
        page = self.result(self.rig.store.archive.segments(SENTINEL, session_id, query))
        return [row.sequence for row in page.segments]

    def recorded(self, session_id: str, number: int) -> bytes:
        """The octets of a segment as history serves them."""
        body, _ = self.result(self.rig.store.archive.media(SENTINEL, session_id, number, number))
        data: bytes = self.result(body.read(0, body.size_bytes))
        return data

    def result(self, fired: Any) -> Any:
        """What a Deferred has fired with."""
        return SynchronousTestCase().successResultOf(fired)


class BackfillTests(SynchronousTestCase):
    """One Sentinel, whatever happens to it."""

    def test_nothing_lost(self) -> None:
        """However often the connection breaks and the server dies, every segment captured is in
        the end recorded once, octet for octet, or declared lost because the spool was full or
        the server takes none so large; all sessions are sealed; viewers were sent nothing late."""
        often = settings(
            Backfill.TestCase.settings,
            max_examples=60,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        run_state_machine_as_test(Backfill, settings=often)
