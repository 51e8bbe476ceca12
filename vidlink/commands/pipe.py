"""Standard output as something to wait for: what a slow reader has no room for is not held here."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.errors import UserMistake

#: The most that is given to the kernel at once.
PIECE_BYTES = 256 * 1024


class NobodyReads(Exception):
    """Whoever read has gone; there is nothing wrong with that."""


@implementer(IReadDescriptor, IWriteDescriptor)
class Pipe:
    """Writes to a descriptor in pieces, each when the reader has made room for it.

    One :meth:`write` at a time; nothing but its data waits here. A plain file takes everything
    at once.

    :param reactor: `IReactorFDSet`.
    """

    def __init__(self, descriptor: int, reactor: Any) -> None:
        self._descriptor = descriptor
        self._reactor = reactor
        self._rest = memoryview(b"")
        self._written: Deferred[None] | None = None
        #: Fires when the reader has gone.
        self.closed: Deferred[None] = Deferred()
        mode = os.fstat(descriptor).st_mode
        self._is_slow = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        if self._is_slow:
            os.set_blocking(descriptor, False)
        if stat.S_ISFIFO(mode):
            # The writing end of a pipe has nothing to read but the news that its reader is gone.
            reactor.addReader(self)

    async def write(self, data: bytes) -> None:
        """Write all of `data`; returns when the kernel has it.

        :raises NobodyReads: if the reader has gone.
        :raises UserMistake: if it cannot be written, such as to a full disk.
        """
        if self.closed.called:
            raise NobodyReads
        self._rest = memoryview(data)
        if not self._push():
            self._written = Deferred(lambda _: self._stop_writing())
            self._reactor.addWriter(self)
            await self._written

    def close(self) -> None:
        """Let go of the descriptor; it stays open, as it was before."""
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        if self._is_slow:
            os.set_blocking(self._descriptor, True)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """The name in logs."""
        return "standard output"

    def doRead(self) -> Any:
        """There is nothing to read, so the reader is gone."""
        return CONNECTION_LOST

    def doWrite(self) -> Any:
        """There is room."""
        try:
            done = self._push()
        except Exception:
            self._finish(Failure())
            return
        if done:
            self._finish(None)

    def connectionLost(self, reason: Failure) -> None:
        """The reader has gone."""
        self._reactor.removeReader(self)
        self._finish(Failure(NobodyReads()))
        if not self.closed.called:
            self.closed.callback(None)

    def _push(self) -> bool:
        """Write what there is room for; whether that was all."""
        try:
            while self._rest:
                size = os.write(self._descriptor, self._rest[:PIECE_BYTES])
                self._rest = self._rest[size:]
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                raise NobodyReads from None
            raise UserMistake(f"cannot write to standard output: {error.strerror}") from None
        return True

    def _stop_writing(self) -> None:
        self._reactor.removeWriter(self)
        self._written = None

    def _finish(self, result: Failure | None) -> None:
        written = self._written
        self._stop_writing()
        if written is not None:
            written.callback(result)
