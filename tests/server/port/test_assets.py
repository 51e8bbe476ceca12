"""Tests of `vidlink.server.port.assets`."""

from __future__ import annotations

import re
from importlib import resources

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from tests.server.sockets.opened import Answer, Connection
from vidlink.server.port.assets import TYPES, Assets

FILES = {
    "index.html": "<!doctype html><title>Übersicht</title>".encode(),
    "page.css": b"body{}",
    "page.js": b"export {};",
}


class PageTests(SynchronousTestCase):
    """The page's files over HTTP."""

    def ask(
        self, path: str, *headers: str, method: str = "GET", page: Assets | None = None
    ) -> Answer:
        """What a browser gets."""
        clock = MemoryReactorClock()
        connection = Connection(Site(page or Assets(FILES), reactor=clock), clock)
        lines = "".join(header + "\r\n" for header in ("Host: x", *headers))
        connection.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        (answer,) = connection.answers()
        return answer

    def test_files(self) -> None:
        """Each file is there under its name, the index at the root too, with its type."""
        for path, name, content_type in (
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/?sentinel=desk-1#x", "index.html", "text/html; charset=utf-8"),
            ("/index.html", "index.html", "text/html; charset=utf-8"),
            ("/page.css", "page.css", "text/css; charset=utf-8"),
            ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ):
            answer = self.ask(path)
            self.assertEqual((answer.status, answer.body), (200, FILES[name]))
            self.assertEqual(answer.headers["content-type"], content_type)
            self.assertEqual(answer.headers["content-length"], str(len(FILES[name])))
            self.assertEqual(answer.headers["cache-control"], "private, no-cache")

    def test_validators(self) -> None:
        """A browser asks again each time, and gets a file again only when it has changed."""
        etag = self.ask("/page.js").headers["etag"]
        again = self.ask("/page.js", f"If-None-Match: {etag}")
        self.assertEqual((again.status, again.body), (304, b""))
        newer = Assets({**FILES, "page.js": b"export {1};"})
        self.assertEqual(self.ask("/page.js", f"If-None-Match: {etag}", page=newer).status, 200)
        other = self.ask("/page.js", 'If-Match: "other"')
        self.assertEqual((other.status, other.error_code), (412, "precondition-failed"))

    def test_nothing_else(self) -> None:
        """No other path leads anywhere, least of all out of the folder."""
        for path in (
            "/page",
            "/page.js/",
            "/page.js/..",
            "//page.js",
            "/./page.js",
            "/../page.js",
            "/../../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc%2fpasswd",
            "/page%2ejs",
            "/__init__.py",
            "/\\page.js",
        ):
            answer = self.ask(path)
            self.assertEqual((answer.status, answer.error_code), (404, "not-found"), path)

    def test_methods(self) -> None:
        """Files are read, and nothing else."""
        for method in ("POST", "PUT", "DELETE", "BREW"):
            answer = self.ask("/", method=method)
            self.assertEqual((answer.status, answer.error_code), (405, "method-not-allowed"))
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")

    def test_shipped_page(self) -> None:
        """The page as shipped: every file is served, and each that another one names is there."""
        page = Assets.load()
        shipped = [entry for entry in resources.files("vidlink.page").iterdir() if entry.is_file()]
        served = [entry for entry in shipped if entry.name.endswith(tuple(TYPES))]
        self.assertIn("index.html", [entry.name for entry in served])
        for entry in served:
            answer = self.ask("/" + entry.name, page=page)
            self.assertEqual((answer.status, answer.body), (200, entry.read_bytes()))
            text = entry.read_text("utf-8")
            named = re.findall(r"(?:src|href)=\"([^\"#:]+)\"|from \"\./([^\"]+)\"", text)
            for name in filter(None, sum(named, ())):
                self.assertEqual(self.ask("/" + name.lstrip("./"), page=page).status, 200, name)
