"""Tokens of clients and Sentinels: which files have one, and whom they may be shown to."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.hashing import new_token
from vidlink.dialling.address import read_address
from vidlink.dialling.token import VARIABLE, check_token, read_token_file, token_source
from vidlink.errors import UserMistake

TOKEN = new_token()


class TokenFileTests(SynchronousTestCase):
    """A file with a token in it."""

    def setUp(self) -> None:
        """A folder."""
        self.path = Path(self.mktemp())
        self.said: list[str] = []

    def write(self, text: str, mode: int = 0o600) -> str:
        """Make the file."""
        self.path.write_text(text)
        self.path.chmod(mode)
        return str(self.path)

    def test_one_line(self) -> None:
        """A token is read whatever white space is around it, and of a private file nothing is
        said."""
        for text in (TOKEN, TOKEN + "\n", f"  {TOKEN}\r\n\n"):
            for mode in (0o400, 0o600, 0o640):
                found = read_token_file(self.write(text, mode), self.said.append)
                self.assertEqual(found, TOKEN)
        self.assertEqual(self.said, [])

    def test_others_can_read(self) -> None:
        """Of a file that others can read one line says how to close it; it is read all the same."""
        path = self.write(TOKEN, 0o644)
        self.assertEqual(read_token_file(path, self.said.append), TOKEN)
        (line,) = self.said
        self.assertIn(f"chmod o= {path}", line)
        self.assertNotIn(TOKEN, line)

    def test_refused(self) -> None:
        """Whatever is no token alone is refused, in words that do not repeat it."""
        for text, told in (
            ("", "empty"),
            ("\n \n", "empty"),
            (f"{TOKEN}\n{TOKEN}\n", "more than one line"),
            (TOKEN + "\n" * 5_000, "more than one line"),
            (f"Bearer {TOKEN}", "something else than a token"),
            (f"{TOKEN}\x00", "something else than a token"),
        ):
            mistake = self.assertRaises(UserMistake, read_token_file, self.write(text))
            self.assertIn(told, str(mistake))
            self.assertNotIn(TOKEN, str(mistake))
            self.assertNotIn("\n", str(mistake))
        os.remove(self.path)
        self.assertIn("No such", str(self.assertRaises(UserMistake, self.source)))
        self.path.mkdir()
        self.assertIn("directory", str(self.assertRaises(UserMistake, self.source)))

    def source(self, environ: dict[str, str] | None = None) -> str | None:
        """The token by the file."""
        return token_source(str(self.path), environ or {}, self.said.append)()

    def test_which_one(self) -> None:
        """The file wins over the variable; an empty variable is none."""
        other = new_token()
        self.write(TOKEN)
        self.assertEqual(self.source({VARIABLE: other}), TOKEN)
        for value, wanted in ((other, other), ("", None)):
            self.assertEqual(token_source(None, {VARIABLE: value}, self.said.append)(), wanted)
        self.assertIsNone(token_source(None, {}, self.said.append)())
        for value in ("two words", f"{other}\nX-Other: 1"):
            environ = {VARIABLE: value}
            mistake = self.assertRaises(UserMistake, token_source, None, environ, print)
            self.assertIn(VARIABLE, str(mistake))
            self.assertNotIn(other, str(mistake))

    def test_replaced(self) -> None:
        """Each look reads the file anew, and complains of who may read it once only."""
        look = token_source(self.write(TOKEN, 0o644), {}, self.said.append)
        other = new_token()
        self.write(other, 0o644)
        self.assertEqual((look(), look()), (other, other))
        self.assertEqual(len(self.said), 1)
        self.write("")
        self.assertRaises(UserMistake, look)

    @given(st.text())
    def test_header(self, text: str) -> None:
        """Nothing passes for a token that would be more than one word of a header."""
        try:
            token = check_token(text, "it")
        except UserMistake as mistake:
            self.assertNotIn("\n", str(mistake))
        else:
            self.assertEqual(token.split(), [token])
            self.assertTrue(token.isascii() and token.isprintable())


class ShownTests(SynchronousTestCase):
    """Whom a token is shown to."""

    def test_private(self) -> None:
        """It is shown over TLS and on this machine; elsewhere only when that is said."""
        for text, is_private in (
            ("http://127.0.0.1:8080", True),
            ("ws://127.9.8.7", True),
            ("http://[::1]:8080", True),
            ("http://LOCALHOST:8080", True),
            ("https://there.example", True),
            ("wss://192.0.2.1", True),
            ("unix:/run/vidlink/socket", True),
            ("tls:there.example:443", True),
            ("tcp:localhost:8080", True),
            ("tcp:host=127.0.0.1:port=8080", True),
            ("http://there.example", False),
            ("ws://192.0.2.1:8080", False),
            ("ws://127.0.0.1.example", False),
            ("http://localhost.example", False),
            ("http://0.0.0.0:8080", False),
            ("tcp:there.example:8080", False),
            ("tcp:port=8080:host=192.0.2.1", False),
        ):
            address = read_address(text, MemoryReactorClock())
            shown = {"Authorization": f"Bearer {TOKEN}"}
            self.assertEqual(address.headers(TOKEN, can_go_plain=True), shown)
            self.assertEqual(address.headers(None), {})
            if is_private:
                self.assertEqual(address.headers(TOKEN), shown, text)
            else:
                mistake = self.assertRaises(UserMistake, address.headers, TOKEN)
                self.assertIn("--plain-token", str(mistake))
                self.assertNotIn(TOKEN, str(mistake))
