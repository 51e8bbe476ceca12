"""Tests of `vidlink.server.port.origin`."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import UserMistake
from vidlink.server.api.refusals import BadHeader, ForeignOrigin, Misdirected
from vidlink.server.port.exposure import LOOPBACK_NAMES, Listening
from vidlink.server.port.origin import Authority, Hosts, Origin, machine_names

LOOPBACK = "tcp:8080:interface=127.0.0.1"
ANYWHERE = "tcp:8080"
UNIX = "unix:/run/vidlink/socket"
NAME = r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,3}"
PAGE = "https://vidlink.example.org"


def hosts(*descriptions: str, allowed: Iterable[str] = (), own: Iterable[str] = ()) -> Hosts:
    """The rules of a server that listens on `descriptions`, on a machine with `own` names."""
    return Hosts([Listening.parse(text) for text in descriptions], allowed, own)


class Case(SynchronousTestCase):
    """How a rule is asked."""

    def assert_hosts(self, rules: Hosts, ours: Iterable[str], foreign: Iterable[str]) -> None:
        """The rules admit `ours` and refuse `foreign`, over plain HTTP."""
        for host in ours:
            rules.check([host], [], is_secure=False)
        for host in foreign:
            with self.assertRaises(Misdirected, msg=host):
                rules.check([host], [], is_secure=False)

    def assert_foreign(self, rules: Hosts, host: str, origins: Iterable[str]) -> None:
        """The rules refuse each of `origins` at `host`, over plain HTTP."""
        for origin in origins:
            with self.assertRaises(ForeignOrigin, msg=origin):
                rules.check([host], [origin], is_secure=False)


class HostTests(Case):
    """Under which names the server answers."""

    def test_loopback(self) -> None:
        """On loopback: the loopback names, with the port listened on, a default one or none."""
        ours = ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST:8080"]
        ours += ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:80", "localhost:443"]
        foreign = [
            "evil.example",
            "evil.example:80",
            "evil.example:8080",
            "localhost:8081",
            "localhost.:8080",
            "localhost.evil.example:8080",
            "evil-localhost:8080",
            "127.0.0.1.evil.example:8080",
            "127.0.0.2:8080",
            "0.0.0.0:8080",
            "127.1:8080",
            "192.168.1.7:8080",
            "[::2]:8080",
            "[::ffff:127.0.0.1]:8080",
        ]
        self.assert_hosts(hosts(LOOPBACK), ours, foreign)
        self.assert_hosts(hosts(r"tcp:8080:interface=\:\:1"), [*ours, "[0:0:0:0:0:0:0:1]:8080"], [])

    def test_interface(self) -> None:
        """A loopback address of another number is a name too."""
        rules = hosts("tcp:8080:interface=127.0.0.9")
        self.assert_hosts(rules, ["127.0.0.9:8080", "localhost:8080"], ["127.0.0.8:8080"])

    def test_several_ports(self) -> None:
        """Each port that is listened on is ours."""
        rules = hosts(LOOPBACK, "tcp:9090:interface=127.0.0.1")
        self.assert_hosts(rules, ["localhost:8080", "localhost:9090"], ["localhost:7070"])

    def test_default_port(self) -> None:
        """A Host without port may mean any, whichever is listened on; a browser's says it."""
        for place in ("tcp:80:interface=127.0.0.1", "ssl:443:interface=127.0.0.1", LOOPBACK):
            for is_secure in (False, True):
                for host in ("localhost", "localhost:80", "localhost:443"):
                    hosts(place).check([host], [], is_secure)

    def test_port_of_the_systems_choice(self) -> None:
        """Where the port is not known beforehand, any will do; the name still counts."""
        for place in ("tcp:0:interface=127.0.0.1", UNIX):
            self.assert_hosts(hosts(place), ["localhost:4711", "localhost"], ["evil.example:4711"])

    def test_elsewhere(self) -> None:
        """Elsewhere: addresses, which no DNS can bend, and the machine's own names; no other.

        A page at a name that is answered with this server's address would be its own page.
        """
        rules = hosts(
            LOOPBACK, ANYWHERE, r"tcp:81:interface=desk.lan", own=["Server.lan", "server"]
        )
        ours = ["server.lan:8080", "SERVER:9000", "server", "desk.lan:81", "localhost:8080"]
        ours += ["10.0.0.1:8080", "10.0.0.1", "[fe80::1]:8080", "127.0.0.1:1"]
        foreign = [
            "evil.example",
            "evil.example:8080",
            "server.lan.evil.example",
            "10.0.0.1.nip.io",
        ]
        foreign += ["server.lan.:8080", "0x0a000001:8080", "10.1:8080", "167772161", "a.server.lan"]
        self.assert_hosts(rules, ours, foreign)

    def test_own_names_on_loopback(self) -> None:
        """On loopback nobody finds the server under the machine's names."""
        self.assert_hosts(hosts(LOOPBACK, own=["server.lan"]), [], ["server.lan:8080"])

    def test_machine_names(self) -> None:
        """The machine's names are its host name, with and without a domain, and no address."""
        self.patch(socket, "gethostname", lambda: "Desk-7.example.org")
        self.patch(socket, "getfqdn", lambda name: "desk-7.example.org")
        names = {"Desk-7.example.org", "Desk-7", "Desk-7.local", "desk-7.example.org"}
        self.assertEqual(machine_names(), names)
        self.patch(socket, "gethostname", lambda: "not a host")
        self.patch(socket, "getfqdn", lambda name: "")
        self.assertEqual(machine_names(), frozenset())

    def test_elsewhere_with_names(self) -> None:
        """Once names are given, only they and addresses, which no DNS can bend, are ours."""
        rules = hosts(ANYWHERE, allowed=[PAGE])
        ours = ["vidlink.example.org", "vidlink.example.org:443", "10.0.0.1:8080", "[fe80::1]"]
        foreign = [
            "evil.example",
            "vidlink.example.org:8080",
            "vidlink.example.org.",
            "10.0.0.1.nip.io",
        ]
        self.assert_hosts(rules, [*ours, "localhost:8080"], foreign)

    def test_behind_a_proxy(self) -> None:
        """On loopback behind a proxy, the name that is given is ours beside our own."""
        rules = hosts(LOOPBACK, allowed=[PAGE, "http://server:9000"])
        ours = ["vidlink.example.org", "127.0.0.1:8080", "server:9000"]
        self.assert_hosts(rules, ours, ["evil.example", "server", "10.0.0.1:8080"])

    def test_no_host_before_1_1(self) -> None:
        """Where HTTP asks for no Host there may be none, but no page of our own either."""
        rules = hosts(LOOPBACK, allowed=[PAGE])
        rules.check([], [], is_secure=False, needs_host=False)
        rules.check([], [PAGE], is_secure=False, needs_host=False)
        for origin in ("http://localhost:8080", "http://evil.example", "null"):
            with self.assertRaises(ForeignOrigin):
                rules.check([], [origin], is_secure=False, needs_host=False)
        with self.assertRaises(Misdirected):
            rules.check(["evil.example"], [], is_secure=False, needs_host=False)
        with self.assertRaises(BadHeader):
            rules.check(["a b"], [], is_secure=False, needs_host=False)

    def test_not_a_host(self) -> None:
        """Anything but exactly one well-formed Host is a bad request."""
        bad = [
            [],
            ["localhost:8080", "localhost:8080"],
            [""],
            [":8080"],
            ["localhost:"],
            ["localhost:0"],
            ["localhost:08080"],
            ["localhost:80 80"],
            ["localhost:65536"],
            ["localhost:٨٠٨٠"],
            ["localhost:8080, localhost:8080"],
            ["user@localhost:8080"],
            ["localhost:8080/"],
            ["http://localhost:8080"],
            ["::1"],
            ["[::1"],
            ["[]:8080"],
            ["[:::]:8080"],
            ["[::1%25lo]:8080"],
            ["a..b:8080"],
            [".:8080"],
            ["a" * 64],
            [".".join(["a" * 60] * 5)],
            ["löcalhost:8080"],
            ["localhost:8080\n"],
        ]
        for rules in (hosts(LOOPBACK), hosts(ANYWHERE)):
            for values in bad:
                with self.assertRaises(BadHeader, msg=repr(values)):
                    rules.check(values, [], is_secure=False)


class OriginTests(Case):
    """Which pages may ask."""

    def test_no_browser(self) -> None:
        """A request without Origin is none of a browser's."""
        hosts(LOOPBACK).check(["localhost:8080"], [], is_secure=False)

    def test_own_page(self) -> None:
        """The page that was fetched from this very host may ask, however it is written."""
        rules = hosts(LOOPBACK, "tcp:80:interface=127.0.0.1", "ssl:443:interface=127.0.0.1")
        for host, origin, is_secure in (
            ("localhost:8080", "http://localhost:8080", False),
            ("[::1]:8080", "http://[::1]:8080", False),
            ("LocalHost:8080", "HTTP://LOCALHOST:8080", False),
            ("localhost", "http://localhost:80", False),
            ("localhost:80", "http://localhost", False),
            ("localhost", "https://localhost", True),
            ("localhost:443", "https://localhost", True),
        ):
            rules.check([host], [origin], is_secure)

    def test_foreign_pages(self) -> None:
        """No other origin may, look-alikes included."""
        self.assert_foreign(
            hosts(LOOPBACK),
            "localhost:8080",
            [
                "null",
                "",
                "http://evil.example",
                "http://localhost",
                "http://localhost:80",
                "http://localhost:8081",
                "http://localhost:80800",
                "http://localhost:08080",
                "https://localhost:8080",
                "ws://localhost:8080",
                "file://localhost:8080",
                "http://127.0.0.1:8080",
                "http://localhost.:8080",
                "http://localhost.evil.example:8080",
                "http://evil-localhost:8080",
                "http://evil.example:8080",
                "http://localhost:8080.evil.example",
                "http://user@localhost:8080",
                "http://localhost:8080@evil.example",
                "http://localhost:8080/",
                "http://localhost:8080/path",
                "http://localhost:8080?",
                "http://localhost:8080 http://evil.example",
                "http://localhost:8080, http://localhost:8080",
                " http://localhost:8080",
                "http:localhost:8080",
                "//localhost:8080",
                "localhost:8080",
            ],
        )

    def test_two_origins(self) -> None:
        """Two Origin headers are none of a browser's, even if both are ours."""
        own = "http://localhost:8080"
        with self.assertRaises(ForeignOrigin):
            hosts(LOOPBACK).check(["localhost:8080"], [own, own], is_secure=False)

    def test_allowed_origin(self) -> None:
        """An origin that was allowed may ask under each of our names; its look-alikes may not."""
        rules = hosts(LOOPBACK, allowed=[PAGE + "/"])
        for host in ("127.0.0.1:8080", "vidlink.example.org"):
            for origin in (PAGE, PAGE + ":443"):
                rules.check([host], [origin], is_secure=False)
        alike = [
            "https://vidlink.example.org:444",
            "https://vidlink.example.org.",
            "https://vidlink.example.org.evil.example",
            "https://evil-vidlink.example.org",
            "https://sub.vidlink.example.org",
        ]
        self.assert_foreign(rules, "127.0.0.1:8080", alike)
        self.assert_foreign(rules, "127.0.0.1:8080", ["http://vidlink.example.org"])

    def test_bad_allowed_origin(self) -> None:
        """What is no origin is refused when it is given, with an example of one."""
        for text in ("vidlink.example.org", PAGE + "/page", "*", "null", "ftp://a", "https://"):
            with self.assertRaises(UserMistake, msg=text) as caught:
                hosts(LOOPBACK, allowed=[text])
            self.assertIn(PAGE, str(caught.exception))

    @given(st.text(max_size=40), st.booleans())
    def test_any_text(self, text: str, as_origin: bool) -> None:
        """Whatever is sent, it is refused by name or it is ours; nothing else is raised."""
        host, origins = ("localhost:8080", [text]) if as_origin else (text, [])
        try:
            hosts(LOOPBACK).check([host], origins, is_secure=False)
        except (BadHeader, Misdirected, ForeignOrigin):
            return
        if origins:
            self.assertEqual(text.lower(), "http://localhost:8080")
        else:
            name = text.lower().removesuffix(":80").removesuffix(":8080").removesuffix(":443")
            self.assertIn(name, LOOPBACK_NAMES | {"[0:0:0:0:0:0:0:1]"})

    @given(
        st.sampled_from(["http", "https"]),
        st.one_of(
            st.from_regex(
                r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,3}", fullmatch=True
            ),
            st.ip_addresses(v=6).map(lambda address: f"[{address.compressed}]"),
        ),
        st.integers(1, 65535),
    )
    def test_round_trip(self, scheme: str, host: str, port: int) -> None:
        """An origin is read as it was written, and is that of a page from the same host."""
        origin = Origin.parse(f"{scheme}://{host}:{port}")
        self.assertEqual(origin, Origin(scheme, host, port))
        authority = Authority.parse(f"{host}:{port}")
        assert authority is not None
        self.assertEqual(Origin.of(authority, scheme == "https"), origin)
