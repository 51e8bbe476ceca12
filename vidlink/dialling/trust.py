"""Which server is believed to be the right one over TLS: what the system trusts, or what a person
names, an authority or one certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import idna
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from zope.interface import implementer

from vidlink.errors import UserMistake

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n.+?\r?\n-----END CERTIFICATE-----", re.DOTALL)
#: SHA-256 in hexadecimal, with or without colons, as OpenSSL and browsers show it.
_FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)

#: Makes what TLS to a host needs, from the host's name.
Trust = Callable[[str], Any]
#: The authorities that the system trusts, and the names in a certificate.
TRUST_OF_SYSTEM: Trust = optionsForClientTLS


def read_trust(authorities: str | None, fingerprint: str | None) -> Trust:
    """The trust that the options ``--ca`` and ``--pin`` ask for; that of the system without.

    :param authorities: a file of certificates in PEM, of which one has to have signed the server's
        own, or be it.
    :param fingerprint: the SHA-256 of the server's own certificate; nothing else is looked at then,
        neither names nor dates nor who has signed it.
    :raises UserMistake: if either is none, or both are given.
    """
    if fingerprint is not None:
        if authorities is not None:
            raise UserMistake("give --ca or --pin, not both: a pin says all that there is to say")
        return _pinned(fingerprint)
    if authorities is not None:
        return _signed(authorities)
    return TRUST_OF_SYSTEM


def _signed(path: str) -> Trust:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            found = [Certificate.loadPEM(pem) for pem in _PEM.findall(file.read(1024 * 1024))]
    except OSError as error:
        raise UserMistake(f"--ca {path} cannot be read ({error.strerror})") from None
    except crypto.Error:
        found = []
    if not found:
        raise UserMistake(f"--ca {path} has no certificate in it; it has to be in PEM")
    root = trustRootFromCertificates(found)
    return lambda host: optionsForClientTLS(host, trustRoot=root)


def _pinned(text: str) -> Trust:
    match = _FINGERPRINT.fullmatch(text)
    if match is None:
        raise UserMistake(
            "--pin takes the SHA-256 fingerprint of the server's certificate, 64 hexadecimal "
            "digits; 'vidlink certificate' prints it"
        )
    wanted = match[1].replace(":", "").upper()
    return lambda host: Pinned(host, wanted)


@implementer(IOpenSSLClientConnectionCreator)
class Pinned:
    """TLS with whoever has the one certificate.

    :param host: named in the handshake, for servers of many names.
    :param fingerprint: SHA-256 of the certificate, 64 digits in upper case.
    """

    def __init__(self, host: str, fingerprint: str) -> None:
        self._server_name = None if _is_address(host) else idna.encode(host)
        self._fingerprint = fingerprint
        self._context = CertificateOptions().getContext()
        self._context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._is_trusted
        )

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """One connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        # An address is not named there (RFC 6066 section 3).
        if self._server_name is not None:
            connection.set_tlsext_host_name(self._server_name)
        return connection

    def _is_trusted(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        # Above the server's own there may be whatever there is.
        found = certificate.digest("sha256").decode("ascii").replace(":", "")
        return depth > 0 or found == self._fingerprint


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
