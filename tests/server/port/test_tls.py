"""TLS: certificates are renewed while the server runs, and a pin lets one of them in alone."""

from __future__ import annotations

import contextlib
import os
from types import SimpleNamespace
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.defer import execute
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vidlink.commands import certificate
from vidlink.dialling.trust import Pinned, read_trust
from vidlink.errors import UserMistake
from vidlink.server.port.tls import LOOK_SECONDS, TlsContext


class Made:
    """A key and a certificate in `folder`, as the command makes them."""

    def __init__(self, folder: str, *names: str) -> None:
        os.makedirs(folder)
        options = certificate.Options()
        options.parseOptions(["--folder", folder, *names])
        certificate.run(options)
        self.key = os.path.join(folder, certificate.KEY)
        self.certificate = os.path.join(folder, certificate.CERTIFICATE)


class Ours:
    """Stands in for Twisted's side of a connection, which is told if it is with the wrong host."""

    factory = SimpleNamespace(wrappedFactory=None)
    failure: Any = None

    def failVerification(self, failure: Any) -> None:
        """It is."""
        self.failure = failure


def shaken(server: Any, client: Any) -> tuple[SSL.Connection, SSL.Connection]:
    """Both ends of a connection after their handshake, in memory.

    :raises SSL.Error: if one does not trust the other.
    """
    ours = Ours()
    here = server.serverConnectionForTLS(None)
    here.set_accept_state()
    there = client.clientConnectionForTLS(ours)
    there.set_app_data(ours)
    there.set_connect_state()
    for _ in range(10):
        for one, other in ((there, here), (here, there)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    if ours.failure is not None:
        raise SSL.Error(ours.failure)
    return here, there


class TlsTests(SynchronousTestCase):
    """Contexts and pins, with real certificates and handshakes in memory."""

    def setUp(self) -> None:
        """Two certificates, of which the first is shown."""
        self.clock = Clock()
        self.patch(certificate, "tell", lambda line: None)
        self.patch(certificate, "machine_names", lambda: frozenset({"here"}))
        self.one, self.other = Made(self.mktemp(), "exam.example"), Made(self.mktemp())
        self.context = TlsContext(
            self.one.key,
            self.one.certificate,
            seconds=self.clock.seconds,
            run_in_pool=execute,
        )

    def pin_of(self, made: Made) -> str:
        """The fingerprint of a certificate, as it is pinned."""
        return str(self.certificate_of(made).digest("sha256"), "ascii").replace(":", "")

    def certificate_of(self, made: Made) -> Any:
        """A certificate, read."""
        with open(made.certificate, "rb") as file:
            return crypto.load_certificate(crypto.FILETYPE_PEM, file.read())

    def replace_by(self, data: bytes | None) -> None:
        """Put the other certificate, or `data`, in the place of the first."""
        for old, new in (
            (self.one.key, self.other.key),
            (self.one.certificate, self.other.certificate),
        ):
            if data is None:
                os.replace(new, old)
            else:
                with open(old, "wb") as file:
                    file.write(data)
        self.clock.advance(LOOK_SECONDS)
        self.successResultOf(self.context.tick())

    def test_pin(self) -> None:
        """The one certificate is let in, whatever the host is called, and no other one is."""
        pinned = Pinned("10.0.0.1", self.pin_of(self.one))
        verifyObject(IOpenSSLClientConnectionCreator, pinned)
        shaken(self.context, pinned)
        with self.assertRaises(SSL.Error):
            shaken(self.context, Pinned("exam.example", self.pin_of(self.other)))

    def test_authority(self) -> None:
        """A copy of the certificate vouches for the names in it, and for no others."""
        trust = read_trust(self.one.certificate, None)
        for host in ("exam.example", "here", "localhost", "127.0.0.1"):
            shaken(self.context, trust(host))
        with self.assertRaises(SSL.Error):
            shaken(self.context, trust("elsewhere.example"))
        with self.assertRaises(SSL.Error):
            shaken(self.context, read_trust(self.other.certificate, None)("exam.example"))

    def test_fingerprints(self) -> None:
        """A pin may be written as OpenSSL, browsers or the command write it."""
        plain = self.pin_of(self.one)
        colons = self.certificate_of(self.one).digest("sha256").decode("ascii")
        for text in (plain, plain.lower(), colons, f"sha256:{colons}", f"SHA256:{plain}"):
            shaken(self.context, read_trust(None, text)("exam.example"))

    def test_mistakes(self) -> None:
        """What is no trust is refused with one line that says what is wanted."""
        for authorities, pin, said in (
            (None, "abc", "64 hexadecimal"),
            (None, "", "64 hexadecimal"),
            (self.one.key, None, "no certificate"),
            ("/nowhere", None, "cannot be read"),
            (self.one.certificate, self.pin_of(self.one), "not both"),
        ):
            with self.assertRaises(UserMistake) as caught:
                read_trust(authorities, pin)
            self.assertIn(said, str(caught.exception))

    def test_renewed(self) -> None:
        """A new certificate is shown to newcomers without a restart."""
        pin = self.pin_of(self.other)
        self.replace_by(None)
        shaken(self.context, Pinned("exam.example", pin))

    def test_asked_as_today(self) -> None:
        """Twisted is given connections, and need not warn of contexts as of old."""
        self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, self.context))

    def test_not_renewed(self) -> None:
        """One that cannot be used is complained about, and the one before stays; when it is right
        again it is taken."""
        for data in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"):
            pin, whole = self.pin_of(self.other), Made(self.mktemp())
            before = self.context.serverConnectionForTLS(None).get_context()
            self.replace_by(data)
            self.assertIs(self.context.serverConnectionForTLS(None).get_context(), before)
        self.other = whole
        pin = self.pin_of(whole)
        self.replace_by(None)
        shaken(self.context, Pinned("exam.example", pin))

    def test_unusable(self) -> None:
        """A key of another certificate, or a file that is not there, is refused at the start."""
        for key, shown in (
            (self.other.key, self.one.certificate),
            (self.one.certificate, self.one.certificate),
            ("/nowhere", self.one.certificate),
            (self.one.key, "/nowhere"),
            (self.one.key, self.one.key),
        ):
            with self.assertRaises(UserMistake):
                TlsContext(key, shown, seconds=self.clock.seconds, run_in_pool=execute)

    def test_files(self) -> None:
        """The key is for its owner alone, and nothing that is there is overwritten."""
        self.assertEqual(os.stat(self.one.key).st_mode & 0o777, 0o600)
        options = certificate.Options()
        options.parseOptions(["--folder", os.path.dirname(self.one.key)])
        with self.assertRaises(UserMistake):
            certificate.run(options)
