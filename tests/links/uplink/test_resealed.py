"""What is moved in the spool is there at any moment, before or after."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.sentinel.spool.rig import SESSION, Rig, a_segment
from vidlink.links.uplink.resealed import Resealing

COUNT, FILLER_BYTES = 500, 20_000


class PowerCutTests(SynchronousTestCase):
    """Some chunks of a session that is sealed, on a disk."""

    def setUp(self) -> None:
        """It is moved, turn by turn."""
        self.rig = Rig(self.mktemp())
        self.rig.spool.begin(SESSION, media.init_segment(), True)
        for sequence in range(COUNT):
            self.rig.spool.append(a_segment(sequence, filler_bytes=FILLER_BYTES))
        self.rig.settle()
        self.calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.moved: list[tuple[str, str, int]] = []
        resealing = Resealing(
            self.rig.spool,
            lambda seconds, call, *given: self.calls.append((call, given)),
            lambda *told: self.moved.append(told),
        )
        resealing.start(self.rig.shown())

    def after_a_cut(self) -> set[int]:
        """What the next process would find, if the power went now and took all that it may."""
        copy = os.path.abspath(self.mktemp())
        self.rig.disk.after_power_cut(self.rig.folder, copy, lambda low, high: low)
        found = Rig(copy)
        return {one for shown in found.spool.sessions() for one in found.held(shown.session_id)}

    def test_nothing_is_lost(self) -> None:
        """Whenever the power goes, every segment is in one session or in the other."""
        for turn in range(20):
            self.rig.now += 0.02
            self.rig.write()
            while self.calls:
                call, given = self.calls.popleft()
                call(*given)
            self.assertEqual(self.after_a_cut(), set(range(COUNT)), f"after turn {turn}")
        self.rig.settle()
        ((old_id, new_id, newest),) = self.moved
        self.assertEqual((old_id, newest), (SESSION, COUNT - 1))
        self.assertEqual(self.rig.held(new_id), list(range(COUNT)))
