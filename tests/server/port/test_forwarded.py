"""Proxies before the server: who came to them is believed of those that are named, and of nobody
else."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.web.resource import Resource

from tests.server.port.test_site import SiteCase, get
from vidlink.server.api.answers import asker
from vidlink.server.port.site import Request, is_own

#: Octets that may stand in a header.
VALUES = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0").strip())
ORIGIN = b"Origin: https://127.0.0.1:8080"


class Told(Resource):
    """A page that notes what the server takes its client for."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.told: tuple[str, bool, bool] | None = None

    def render(self, request: Request) -> bytes:
        """Note where it comes from, whether by TLS, and whether from this machine."""
        self.told = asker(request), request.isSecure(), is_own(request)
        return b"told"


class ProxyCase(SiteCase):
    """A site to which the client at 127.0.0.1 is a proxy, or is not."""

    def setUp(self) -> None:
        """Serve a page that notes it."""
        super().setUp()
        self.page = Told()
        self.serve(self.page)

    def name(self, *proxies: str) -> None:
        """Name proxies, as --proxy does."""
        self.site.proxies = frozenset(proxies)

    def told(self, *headers: bytes) -> tuple[str, bool, bool] | None:
        """What the server takes the client of such a request for; None: it was refused."""
        self.page.told = None
        answer = self.ask(get("/", *headers))
        self.assertEqual(answer.status == 200, self.page.told is not None)
        self.assertLess(answer.status, 500)
        return self.page.told


class ProxyTests(ProxyCase):
    """What is believed of what is said."""

    def test_stranger(self) -> None:
        """What somebody says who is no proxy of ours is not looked at."""
        self.name("10.0.0.1", "unix")
        said = (b"X-Forwarded-For: 10.9.9.9", b"X-Forwarded-Proto: https")
        self.assertEqual(self.told(*said), ("127.0.0.1", False, True))
        self.assertIsNone(self.told(*said, ORIGIN))

    def test_named(self) -> None:
        """A proxy that was named is believed, but for what its clients have said before it."""
        self.name("127.0.0.1")
        for said, address in (
            ((b"X-Forwarded-For: 10.9.9.9",), "10.9.9.9"),
            ((b"X-Forwarded-For: 127.0.0.1, 10.9.9.9",), "10.9.9.9"),
            ((b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-For: 2001:db8::1"), "2001:db8::1"),
            ((b"X-Forwarded-For: 10.9.9.9:443",), "127.0.0.1"),
            ((b"X-Forwarded-For: 10.9.9.9,",), "127.0.0.1"),
            ((), "127.0.0.1"),
        ):
            with self.subTest(said=said):
                self.assertEqual(self.told(*said), (address, False, False))
        self.assertEqual(self.told(b"X-Forwarded-Proto: https", ORIGIN), ("127.0.0.1", True, False))
        for proto in (b"http", b"HTTPS ,https", b"https, http", b"\xff"):
            with self.subTest(proto=proto):
                self.assertEqual(
                    self.told(b"X-Forwarded-Proto: " + proto), ("127.0.0.1", False, False)
                )

    def test_never_own(self) -> None:
        """Nobody who comes through a proxy is taken for somebody at this machine, from whom a
        password is taken in the clear: whatever they have it say of them, or leave out."""
        self.name("127.0.0.1")
        for said in ((), (b"X-Forwarded-For: 127.0.0.1",), (b"X-Forwarded-For: ::1",)):
            self.assertEqual((self.told(*said) or (None,))[-1], False)


class AnyHeaderTests(ProxyCase):
    """Headers as strangers may make them."""

    @given(st.lists(VALUES, min_size=1, max_size=3), st.lists(VALUES, max_size=2), st.booleans())
    @example([b"\xff"], [b"\xff"], True)
    @example([b"fe80::1%eth0"], [], True)
    def test_any_forwarded(self, who: list[bytes], how: list[bytes], is_named: bool) -> None:
        """Whatever is said of a client, it has an address, and the request an answer."""
        self.name("127.0.0.1" if is_named else "10.0.0.1")
        said = [b"X-Forwarded-For: " + value for value in who]
        said += [b"X-Forwarded-Proto: " + value for value in how]
        told = self.told(*said)
        if told is not None and not is_named:
            self.assertEqual(told, ("127.0.0.1", False, True))

    @given(VALUES, VALUES)
    def test_any_host(self, host: bytes, origin: bytes) -> None:
        """Whatever stands in Host and Origin, no page of another origin is answered."""
        request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nOrigin: " + origin + b"\r\n\r\n"
        answer = self.ask(request)
        self.assertIn(answer.status, (200, 400, 403, 421))
        if answer.status == 200:
            self.assertEqual(origin.lower(), b"http://" + host.lower())
