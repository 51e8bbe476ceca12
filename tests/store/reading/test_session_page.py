"""Tests of `vidlink.store.reading.session_page`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import a_session
from vidlink.errors import RequestError
from vidlink.store.files.layout import describe
from vidlink.store.index.rows import record_of
from vidlink.store.reading.session_page import page_key, read_token, write_token


class PageTests(SynchronousTestCase):
    """Places between pages."""

    def test_token(self) -> None:
        """The place after a session is read as it was written, before 1970 too."""
        for session in (a_session(3), a_session(-100_000_000)):
            record = record_of(describe(session), ())
            token = write_token(record)
            self.assertEqual(read_token(token), page_key(record))

    def test_shown(self) -> None:
        """A session stands where its first picture was captured, which is the time that is shown;
        one of which nothing is recorded yet, where the server heard of it."""
        session = a_session()
        shown = replace(record_of(describe(session), ()), start_time_us=7)
        self.assertEqual(page_key(shown), (7, session.session_id))
        key = page_key(record_of(describe(session), ()))
        self.assertEqual(key, (session.started_time_us, session.session_id))

    def test_tokens_of_another_order(self) -> None:
        """A place in the order by the time at which the server heard of sessions is refused: it
        would leave some out, without a word."""
        with self.assertRaises(RequestError):
            read_token(f"1704067200000000.{a_session().session_id}")

    @given(st.text())
    def test_other_tokens(self, text: str) -> None:
        """Whatever else stands there is refused, never a crash."""
        try:
            read_token(text)
        except RequestError:
            return
