"""Tests of `vidlink.store.reading.session_page`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import a_session
from vidlink.errors import RequestError
from vidlink.store.reading.session_page import page_key, read_token, write_token


class PageTests(SynchronousTestCase):
    """Places between pages."""

    def test_token(self) -> None:
        """The place after a session is read as it was written, before 1970 too."""
        for session in (a_session(3), a_session(-100_000_000)):
            token = write_token(session)
            self.assertEqual(read_token(token), page_key(session))

    @given(st.text())
    def test_other_tokens(self, text: str) -> None:
        """Whatever else stands there is refused, never a crash."""
        try:
            read_token(text)
        except RequestError:
            return
