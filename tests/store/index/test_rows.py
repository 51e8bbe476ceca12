"""Tests of `vidlink.store.index.rows`: a session as the database has it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import a_session
from vidlink.model import SessionState
from vidlink.store.files.layout import describe
from vidlink.store.index.rows import record_of, rows_of


class RowsTests(SynchronousTestCase):
    """The whole of a session, listed anew."""

    def test_without_an_ending(self) -> None:
        """A session whose description has no ending is live to who writes to it, and over to
        who finds it."""
        file = describe(a_session())
        self.assertIs(record_of(file, ()).state, SessionState.LIVE)
        found = rows_of(file, None, ()).record
        assert found is not None
        self.assertIs(found.state, SessionState.ENDED)
