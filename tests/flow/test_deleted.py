"""Tests of a session that is deleted while its Sentinel still holds some of it."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.links.uplink.uplinked import SENTINEL, Uplinked
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import a_session
from vidlink.messages import ErrorMessage
from vidlink.model import SessionQuery


class DeletedTests(SynchronousTestCase):
    """A real uplink with its spool, a server, and a recording on a real disk."""

    def setUp(self) -> None:
        """A session is cut off: half of it is recorded, the rest is in the spool."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.all = Uplinked(self.rig.store.ledger)
        self.all.online()
        self.all.shoot(4)
        for _ in range(3):
            self.second()
        self.session_id = self.all.uplink.live.session_id
        self.all.cut()
        self.all.shoot(4, epoch=self.all.shot_epoch)
        self.second()

    def second(self) -> None:
        """A second passes, at both ends and on the disk."""
        self.all.second(0)
        self.rig.settle()

    def delete(self) -> None:
        """Somebody deletes the session."""
        answer = self.rig.store.keeping.delete(
            SENTINEL, self.session_id, "somebody", rehearse=False
        )
        self.rig.settle()
        self.successResultOf(answer)

    def waiting(self) -> list[str]:
        """The sessions in the spool."""
        return [one.session_id for one in self.all.spool.sessions()]

    def assert_gone(self) -> None:
        """Neither the recording nor the spool has anything of it, and the live session goes on."""
        self.assertNotIn(self.session_id, self.waiting())
        folder = folder_of(self.rig, a_session(0, sentinel_id=SENTINEL))
        self.assertFalse(os.path.exists(os.path.join(os.path.dirname(folder), self.session_id)))
        (live,) = self.successResultOf(self.rig.store.archive.sessions(SessionQuery())).sessions
        self.assertEqual(live.session.session_id, self.all.uplink.live.session_id)
        self.assertGreater(live.segment_count, 0)
        (receipt,) = self.successResultOf(self.rig.store.keeping.receipts(None, 9)).receipts
        self.assertEqual((receipt.session_id, receipt.segment_count), (self.session_id, 4))

    def test_before_it_is_offered(self) -> None:
        """Nothing of it is asked for when the Sentinel comes back, and its spool lets it go."""
        self.assertIn(self.session_id, self.waiting())
        self.delete()
        self.all.online()
        for _ in range(10):
            self.all.shoot()
            self.second()
        self.assert_gone()

    def test_after_it_was_asked_for(self) -> None:
        """What is delivered all the same is answered `session-gone`, and the spool drops it."""
        link = self.all.connect()
        self.all.carry(up=1)
        self.rig.settle()
        self.delete()
        self.second()
        for _ in range(10):
            self.all.shoot()
            self.second()
        told = [one for one in link.heard if isinstance(one, ErrorMessage)]
        self.assertEqual(
            [(one.code, one.about) for one in told], [("session-gone", self.session_id)]
        )
        self.assertEqual(self.all.told.all("refused"), [(self.session_id, 4)])
        self.assert_gone()
