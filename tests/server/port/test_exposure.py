"""Tests of `vidlink.server.port.exposure`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import UserMistake
from vidlink.server.port.exposure import (
    Listening,
    check_endpoint,
    check_exposure,
    for_its_group,
)

LOOPBACK = (
    "tcp:8080:interface=127.0.0.1",
    "tcp:8080:127.0.0.1",
    "tcp:port=8080:interface=127.0.0.1",
    "interface=127.0.0.1:tcp:8080",
    "tcp:8080:interface=127.1.2.3",
    "tcp:8080:interface=localhost",
    r"tcp:8080:interface=\:\:1",
    r"tcp6:8080:interface=\:\:1",
    r"tcp6:8080:50:\:\:1",
    "ssl:8443:privateKey=key.pem:certKey=chain.pem:interface=127.0.0.1",
    "ssl:8443:key.pem:chain.pem:TLSv1_METHOD:127.0.0.1",
    "tls:/etc/certificates:8443:interface=127.0.0.1",
    "tls:/etc/certificates:8443:50:127.0.0.1",
    "unix:/run/vidlink/socket",
    "unix:/run/vidlink/socket:mode=660",
)
OPEN = (
    "tcp:8080",
    "tcp:8080:interface=",
    "tcp:8080:interface=0.0.0.0",
    "tcp:8080:interface=192.168.1.7",
    "tcp:8080:interface=example.org",
    "tcp:8080:interface=127.0.0.1.example.org",
    "tcp:8080:backlog=50:interface=0.0.0.0",
    "tcp:8080:interface=127.0.0.1:interface=0.0.0.0",
    r"tcp:8080:interface\=127.0.0.1",
    "tcp6:8080",
    "tcp6:8080:127.0.0.1",
    r"tcp6:8080:interface=\:\:",
    "ssl:8443:127.0.0.1",
    "ssl:8443:privateKey=key.pem",
    "tls:/etc/certificates:8443",
    "systemd:domain=INET:index=0",
    "haproxy:tcp:8080:interface=127.0.0.1",
    "fd:3",
    "",
    ":",
    "\\",
    "127.0.0.1",
    "localhost:8080",
)


class ExposureTests(SynchronousTestCase):
    """Who may reach a server that asks nobody for credentials."""

    def test_own_machine(self) -> None:
        """Loopback addresses and Unix sockets may be listened on, however they are spelled."""
        check_exposure(map(Listening.parse, LOOPBACK), "data")

    def test_others(self) -> None:
        """What others may reach, or what nobody can tell, is refused with one line of advice."""
        for description in OPEN:
            with self.assertRaises(UserMistake) as caught:
                places = ("tcp:8080:interface=127.0.0.1", description)
                check_exposure(map(Listening.parse, places), "the-folder")
            text = str(caught.exception)
            self.assertTrue(text.startswith(description))
            self.assertIn("--no-auth", text)
            self.assertIn("'vidlink user add NAME --role administrator --data the-folder'", text)
            self.assertIn("'vidlink token add ID --data the-folder'", text)
            self.assertEqual(len(text.splitlines()), 1)

    def test_proxies(self) -> None:
        """A proxy before the server brings others to it, wherever it listens."""
        for proxy in ("127.0.0.1", "unix"):
            with self.assertRaises(UserMistake) as refused:
                check_exposure(map(Listening.parse, LOOPBACK), "data", [proxy])
            self.assertIn(f"a server behind --proxy {proxy} may be reached", str(refused.exception))

    def test_no_endpoint(self) -> None:
        """What is no endpoint is called that, and not a danger; what may be right is said."""
        for wrong in (
            "",
            "8080",
            "foo:1",
            "tcp:99999",
            "tcp:-1:interface=127.0.0.1",
            "tcp:http",
            "tcp",
            "tcp:8080:interface=127.0.0.1:colour=blue",
            "ssl:8443:privateKey=/nowhere.pem:interface=127.0.0.1",
        ):
            with self.assertRaises(UserMistake) as refused:
                check_endpoint(wrong, MemoryReactorClock())
            said = str(refused.exception)
            self.assertIn(f"--listen {wrong!r} cannot be used: ", said)
            self.assertIn("tcp:8080:interface=127.0.0.1", said)
            self.assertNotIn("argument", said)
        for right in ("tcp:0", "tcp:65535:interface=127.0.0.1", "unix:/run/x", "tcp6:8080"):
            check_endpoint(right, MemoryReactorClock())

    def test_unix_sockets(self) -> None:
        """A Unix socket that does not say for whom it is, is for its user and group."""
        for description, wanted in (
            ("unix:/run/socket", "unix:/run/socket:mode=660"),
            ("unix:address=/run/socket", "unix:address=/run/socket:mode=660"),
            ("unix:/run/socket:lockfile=0", "unix:/run/socket:lockfile=0:mode=660"),
            (r"unix:/run/a\:mode=666", r"unix:/run/a\:mode=666:mode=660"),
            ("unix:/run/socket:mode=666", "unix:/run/socket:mode=666"),
            ("unix:/run/socket:600", "unix:/run/socket:600"),
            ("haproxy:unix:/run/socket", "haproxy:unix:/run/socket:mode=660"),
            ("haproxy:unix:/run/socket:600", "haproxy:unix:/run/socket:600"),
            ("haproxy:tcp:8080", "haproxy:tcp:8080"),
            ("haproxy:", "haproxy:"),
            ("tcp:8080", "tcp:8080"),
            ("", ""),
        ):
            self.assertEqual(for_its_group(description), wanted)

    def test_ports(self) -> None:
        """The port is known where the string says one; 0 leaves it to the system."""
        ports = {
            "tcp:8080:interface=127.0.0.1": 8080,
            "tcp:port=8080:interface=127.0.0.1": 8080,
            "ssl:8443:interface=127.0.0.1": 8443,
            "tls:/certificates:8443:interface=127.0.0.1": 8443,
            "tcp:0:interface=127.0.0.1": None,
            "tcp:http:interface=127.0.0.1": None,
            "tcp:٨٠:interface=127.0.0.1": None,
            "unix:/8080": None,
        }
        self.assertEqual({text: Listening.parse(text).port for text in ports}, ports)

    @given(
        st.integers(1, 65535),
        st.one_of(
            st.ip_addresses().map(str),
            st.text("\\:=.0127", max_size=12),
            st.just("127.0.0.1"),
        ),
        st.booleans(),
    )
    def test_as_twisted_reads_it(self, port: int, interface: str, named: bool) -> None:
        """Port and interface are those that Twisted would listen on."""
        quoted = quoteStringArgument(interface)
        quoted = "interface=" + quoted if named else quoted.replace("=", "\\=")
        description = f"tcp:{port}:{quoted}"
        reactor = MemoryReactorClock()
        serverFromString(reactor, description).listen(Factory())
        opened_port, _, _, opened_interface = reactor.tcpServers[-1]
        found = Listening.parse(description)
        self.assertEqual((found.port, found.interface), (opened_port, opened_interface))
