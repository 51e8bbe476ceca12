"""Tests of :mod:`vidlink.access.shown`: what strangers put into headers and addresses."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.hashing import new_token
from vidlink.access.shown import (
    PLAIN_COOKIE,
    SECURE_COOKIE,
    ticket_shown,
    token_shown,
    with_ticket,
    without_ticket,
)
from vidlink.errors import NotAuthenticated

TOKEN = "vidlink_0aZ-_9"
#: Pieces of what is understood, and anything else.
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["Bearer", "bearer ", " ", "=", ";", ",", "&", "%", "ticket", "ticket=", "%74icket="]
        ),
        st.sampled_from([PLAIN_COOKIE, SECURE_COOKIE, f"{PLAIN_COOKIE}=", TOKEN, "\t", "\xa0"]),
        st.text(st.characters(max_codepoint=255), max_size=8),
    ),
    max_size=8,
).map("".join)


class TokenTests(SynchronousTestCase):
    """Headers."""

    @given(st.lists(PIECES, max_size=2), st.lists(PIECES, max_size=3), st.booleans())
    def test_anything(self, authorization: list[str], cookie: list[str], is_secure: bool) -> None:
        """Any headers give a token in its own characters, none, or are not authenticated."""
        try:
            token = token_shown(authorization, cookie, is_secure=is_secure)
        except NotAuthenticated:
            return
        if token is not None:
            self.assertRegex(token, r"\A[A-Za-z0-9._~+/-]+=*\Z")
            self.assertTrue(any(token in text for text in (*authorization, *cookie)))

    def test_bearer(self) -> None:
        """The scheme's letters may be of either case; one header with one token, and no other
        scheme, is taken."""
        for header in (f"Bearer {TOKEN}", f"BEARER  {TOKEN}", f" bearer {TOKEN} "):
            self.assertEqual(token_shown([header], [], is_secure=False), TOKEN)
        for headers in (
            *([""], ["Bearer"], [f"Basic {TOKEN}"], [TOKEN], [f"Bearer {TOKEN} x"]),
            *([f"Bearer {TOKEN},Bearer {TOKEN}"], [f"Bearer {TOKEN}"] * 2, ["Bearer " + "a" * 600]),
        ):
            with self.assertRaises(NotAuthenticated, msg=repr(headers)):
                token_shown(headers, [], is_secure=False)

    def test_bearer_first(self) -> None:
        """It counts before a cookie, also where it is wrong."""
        cookie = [f"{PLAIN_COOKIE}=other"]
        self.assertEqual(token_shown([f"Bearer {TOKEN}"], cookie, is_secure=False), TOKEN)
        with self.assertRaises(NotAuthenticated):
            token_shown(["Basic eDp5"], cookie, is_secure=False)

    def test_cookie(self) -> None:
        """It is found among others; over TLS only that which nobody else can have set counts, and
        in the clear only the other one."""
        for name, is_secure in ((PLAIN_COOKIE, False), (SECURE_COOKIE, True)):
            for line in (
                f"{name}={TOKEN}",
                f"a=b; {name}={TOKEN};c=d",
                f"x{name}=1; {name}={TOKEN}",
            ):
                self.assertEqual(token_shown([], [line], is_secure=is_secure), TOKEN)
                self.assertIsNone(token_shown([], [line], is_secure=not is_secure))

    def test_no_cookie(self) -> None:
        """What logging out leaves, and what is no token, is none."""
        for line in ("", f"{PLAIN_COOKIE}=", f"{PLAIN_COOKIE}", f"{PLAIN_COOKIE}=a b", "; ;=;"):
            self.assertIsNone(token_shown([], [line], is_secure=False), line)

    def test_two_cookies(self) -> None:
        """Two of one name are refused, in one line or in two, whichever is right."""
        pair = f"{PLAIN_COOKIE}={TOKEN}"
        for lines in (
            [f"{pair}; {pair}"],
            [pair, f"{PLAIN_COOKIE}=x"],
            [f"{PLAIN_COOKIE}=; {pair}"],
        ):
            with self.assertRaises(NotAuthenticated, msg=repr(lines)):
                token_shown([], lines, is_secure=False)


class TicketTests(SynchronousTestCase):
    """Addresses."""

    @given(PIECES)
    def test_anything(self, query: str) -> None:
        """Of any query a ticket is found or none; without it, no ticket is found in it and the
        rest is as it was."""
        ticket_shown(query)
        rest = without_ticket(f"/path?{query}")
        self.assertTrue(rest.startswith("/path"))
        self.assertIsNone(ticket_shown(rest.partition("?")[2]))

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_there_and_back(self, name: str, value: str) -> None:
        """A ticket that was put into an address is found there, and is taken out again."""
        ticket = new_token()
        for address in ("/a/b.mp4", f"/a?x{quote(name)}={quote(value)}"):
            made = with_ticket(address, ticket)
            self.assertEqual(ticket_shown(made.partition("?")[2]), ticket)
            self.assertEqual(without_ticket(made), address)

    def test_two(self) -> None:
        """Two are one that opens nothing, and so is an empty one; all are taken out, however they
        are written."""
        for query in ("ticket=a&ticket=b", "ticket=a&%74icket=a", "ticket=", "ticket"):
            self.assertEqual(ticket_shown(query), "")
        self.assertEqual(without_ticket("/x?ticket=a&b=1&%74icket=c"), "/x?b=1")
        self.assertEqual(without_ticket("/x?"), "/x?")
