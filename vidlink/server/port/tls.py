"""TLS of the listening port: modern settings, and certificates that are renewed while it runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, TLSVersion
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.errors import UserMistake

#: The files are looked at so often.
LOOK_SECONDS = 10.0
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n.+?\r?\n-----END CERTIFICATE-----", re.DOTALL)
_State = tuple[tuple[int, int, int], ...]


@implementer(IOpenSSLServerConnectionCreator)
class TlsContext:
    """The certificate and the key that a port shows, as they are in their files.

    A connection gets those that were there when the files were looked at last; new ones that
    cannot be used are complained about, and the old ones stay.

    :param key: the path of the private key, in PEM.
    :param certificate: that of the certificate, and of those above it if there are any.
    :param chain: that of those above it, where they are in a file of their own.
    :param seconds: the monotonic clock.
    :param run_in_pool: runs a function in a thread, and fires with what it gives.
    """

    _log = Logger()
    _context: SSL.Context

    def __init__(
        self,
        key: str,
        certificate: str,
        chain: str | None = None,
        *,
        seconds: Callable[[], float],
        run_in_pool: Callable[..., Deferred[Any]],
    ) -> None:
        self._paths = tuple(path for path in (key, certificate, chain) if path is not None)
        self._key = key
        self._seconds = seconds
        self._run_in_pool = run_in_pool
        self._looked_seconds = seconds()
        self._is_looking = False
        self._take(self._read())

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """A connection that begins now."""
        return SSL.Connection(self._context)

    def tick(self) -> Deferred[None]:
        """To be called about once a second: take new files when there are some; never fails."""
        if self._is_looking or self._seconds() - self._looked_seconds < LOOK_SECONDS:
            return succeed(None)
        self._is_looking, self._looked_seconds = True, self._seconds()
        return self._run_in_pool(self._look).addCallbacks(self._renew, self._stay)

    def _look(self) -> tuple[_State, SSL.Context] | None:
        return None if _state(self._paths) == self._state else self._read()

    def _read(self) -> tuple[_State, SSL.Context]:
        """Read the files.

        :raises UserMistake: if they are not what they should be.
        """
        try:
            state = _state(self._paths)
            data = {path: _content(path) for path in self._paths}
        except OSError as error:
            raise UserMistake(f"{error.filename} cannot be read ({error.strerror})") from None
        pems = [pem for path in self._paths[1:] for pem in _PEM.findall(data[path])]
        if not pems:
            raise UserMistake(f"{self._paths[1]} has no certificate in it; it has to be in PEM")
        try:
            own = PrivateCertificate.loadPEM(pems[0] + b"\n" + data[self._key])
            context = CertificateOptions(
                privateKey=own.privateKey.original,
                certificate=own.original,
                extraCertChain=[Certificate.loadPEM(pem).original for pem in pems[1:]],
                insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
            ).getContext()
            context.check_privatekey()
        except (crypto.Error, SSL.Error, VerifyError, ValueError, TypeError):
            raise UserMistake(
                f"{self._key} is not the private key of {self._paths[1]}, or not in PEM"
            ) from None
        return state, context

    def _take(self, read: tuple[_State, SSL.Context]) -> None:
        self._state, self._context = read

    def _renew(self, read: tuple[_State, SSL.Context] | None) -> None:
        self._is_looking = False
        if read is not None:
            self._take(read)
            self._log.info("{path} was renewed", path=self._paths[1])

    def _stay(self, failure: Failure) -> None:
        self._is_looking = False
        self._log.error(
            "the certificate cannot be renewed: {why}; the one before stays", why=failure.value
        )


def _state(paths: tuple[str, ...]) -> _State:
    found = (os.stat(path) for path in paths)
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1024 * 1024)
