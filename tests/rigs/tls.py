"""A certificate of one's own for this machine, as somebody without an authority has it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NAMES = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """A key and a certificate for `localhost` and 127.0.0.1, in files.

    `folder` holds no other ``*.pem`` than the certificate, so it can be given as ``trustRoots``.
    """

    folder: Path
    key_path: Path
    certificate_path: Path

    def endpoint(self, port: int) -> str:
        """What a server listens on with it."""
        keys = f"privateKey={self.key_path}:certKey={self.certificate_path}"
        return f"ssl:{port}:interface=127.0.0.1:{keys}"

    def context(self) -> ssl.SSLContext:
        """What a client on a bare socket needs to trust it, whatever it calls the server."""
        context = ssl.create_default_context(cafile=str(self.certificate_path))
        context.check_hostname = False
        return context


def self_signed(folder: Path) -> SelfSigned:
    """Make one, valid from yesterday to tomorrow, in `folder`."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key)
    made = SelfSigned(folder, folder / "key", folder / "certificate.pem")
    made.key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    made.certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _sign(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
