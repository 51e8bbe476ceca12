"""``vidlink certificate``: a certificate for a server that nobody else vouches for."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vidlink.errors import UserMistake
from vidlink.server.port.origin import machine_names
from vidlink.terminal.asking import AnywhereOptions
from vidlink.terminal.output import tell

COMMAND = "vidlink certificate"
CERTIFICATE, KEY = "certificate.pem", "key.pem"
_MOST_NAMES = 50


class Options(AnywhereOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[NAME ...] [options]"
    longdesc = (
        "Makes a key and a certificate for TLS that is signed by nobody else, for the names and "
        "addresses that are given and those of this machine, and prints its fingerprint: whoever "
        "connects with --pin FINGERPRINT, or with --ca and a copy of the certificate, knows that "
        "it is this server. A browser asks once whether it may go on."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["folder", "f", ".", f"Where {CERTIFICATE} and {KEY} are written."],
        ["days", None, "825", "It is valid for so many days; browsers take no more than 825."],
    ]

    def parseArgs(self, *names: str) -> None:
        """Names and addresses of the server."""
        self["names"] = names

    def postOptions(self) -> None:
        """Check all of it."""
        self.number("days", int, 1, 3_650)
        if len(self["names"]) > _MOST_NAMES:
            raise UserMistake(f"a certificate is for {_MOST_NAMES} names at most")


def run(options: Options) -> int:
    """Make them; the exit status.

    :raises UserMistake: if they cannot be written, or are there already.
    """
    names = sorted({*options["names"], *machine_names(), "localhost", "127.0.0.1", "::1"})
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key, [_general(name) for name in names], options["days"])
    paths = [os.path.join(options["folder"], name) for name in (KEY, CERTIFICATE)]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(paths[0], secret, 0o600)
    _write(paths[1], certificate.public_bytes(Encoding.PEM), 0o644)
    tell(f"{paths[1]} is for {', '.join(names)}")
    tell(f"listen with --listen ssl:8443:privateKey={paths[0]}:certKey={paths[1]}")
    tell(f"fingerprint {certificate.fingerprint(SHA256()).hex(':').upper()}")
    return 0


def _sign(
    key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], days: int
) -> x509.Certificate:
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "VidLink")])
    now = datetime.now(UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # Clocks of machines in a room differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Its own authority, so that --ca takes it; and of nothing else.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except UnicodeError:
        raise UserMistake(f"{name!r} is no host's name and no address") from None


def _write(path: str, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UserMistake(f"{path} is there already; name another --folder") from None
    except OSError as error:
        raise UserMistake(f"{path} cannot be written ({error.strerror})") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
