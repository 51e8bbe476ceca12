"""Where the server is, as an operator may write it."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.dialling.address import read_address
from vidlink.errors import UserMistake


class AddressTests(SynchronousTestCase):
    """`--server`."""

    def test_urls(self) -> None:
        """URLs name scheme, host, port and a prefix; the path of the sentinels is added."""
        for text, url in (
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/ws/sentinel"),
            ("ws://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws/sentinel"),
            ("ws://h:1/ws/sentinel", "ws://h:1/ws/sentinel"),
            ("http://h", "ws://h:80/ws/sentinel"),
            ("wss://vidlink.example/room", "wss://vidlink.example:443/room/ws/sentinel"),
            ("https://vidlink.example:8443", "wss://vidlink.example:8443/ws/sentinel"),
            ("ws://[::1]:8080", "ws://[::1]:8080/ws/sentinel"),
            ("ws://[::ffff:127.0.0.1]", "ws://[::ffff:127.0.0.1]:80/ws/sentinel"),
            ("http://bücher.example", "ws://xn--bcher-kva.example:80/ws/sentinel"),
        ):
            self.assertEqual(read_address(text, MemoryReactorClock()).url, url)

    def test_zones(self) -> None:
        """The zone of an address is for whoever connects, and is not told to the server."""
        for text in (
            "http://[fe80::1%eth0]:8080",
            "ws://[fe80::1%25eth0]:8080",
            r"tcp:fe80\:\:1%eth0:8080",
        ):
            reactor = MemoryReactorClock()
            address = read_address(text, reactor)
            self.assertEqual(address.base_url, "http://[fe80::1]:8080")
            address.endpoint.connect(object())
            self.assertEqual(reactor.tcpClients[0][:2], ("fe80::1%eth0", 8080))

    def test_endpoints(self) -> None:
        """Client endpoint strings are connected to, and asked for by the host they name."""
        for text, url in (
            ("tcp:127.0.0.1:8080", "ws://127.0.0.1:8080/ws/sentinel"),
            ("tls:vidlink.example:443", "wss://vidlink.example:443/ws/sentinel"),
            ("unix:/run/vidlink.sock", "ws://localhost/ws/sentinel"),
            ("tcp:host=127.0.0.1:port=8080", "ws://127.0.0.1:8080/ws/sentinel"),
            ("tcp:timeout=5:port=8080:host=Desk-1", "ws://Desk-1:8080/ws/sentinel"),
            ("tls:h:port=443:timeout=5", "wss://h:443/ws/sentinel"),
            (r"tcp:\:\:1:8080", "ws://[::1]:8080/ws/sentinel"),
            ("tcp:bücher.example:80", "ws://xn--bcher-kva.example:80/ws/sentinel"),
        ):
            self.assertEqual(read_address(text, MemoryReactorClock()).url, url)

    def test_connects_there(self) -> None:
        """The endpoint goes where the text says."""
        for text in ("ws://127.0.0.1:8123", "tcp:127.0.0.1:8123"):
            reactor = MemoryReactorClock()
            address = read_address(text, reactor)
            address.endpoint.connect(object())
            reactor.advance(1)
            self.assertEqual(reactor.tcpClients[0][:2], ("127.0.0.1", 8123))

    def test_mistakes(self) -> None:
        """Anything else says what is wanted."""
        for text in (
            "ftp://h",
            "ws://",
            "ws://user:secret@h",
            "ws://h:99999",
            "ws://h?x=1",
            "carrier:pigeon",
            "127.0.0.1",
            "",
            "tcp:",
            "tcp:127.0.0.1:99999",
            "ws://h:0",
            # Names that no host can have.
            "http://my_server",
            "https://my_server",
            "https://a..b",
            "http://h h",
            f"ws://{'a' * 70}",
            "http://127.0.0.1%lo",
            "http://[fe80::1%]",
            "http://fe80::1",
            "tcp:my_server:1",
            "tls:a..b:443",
            "tls:h:443:trustRoots=/nowhere",
            # It would connect to whoever answers, whatever the certificate.
            "ssl:vidlink.example:443",
        ):
            mistake = self.assertRaises(UserMistake, read_address, text, MemoryReactorClock())
            self.assertIn("--server", str(mistake))
            self.assertNotIn("\n", str(mistake))
