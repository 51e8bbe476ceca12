"""Standard output with readers that are slow, gone, or plain files."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from vidlink.commands.pipe import NobodyReads, Pipe
from vidlink.errors import UserMistake


class Descriptors:
    """The part of a reactor that watches descriptors, turned by hand."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader = self.readers.add
        self.addWriter = self.writers.add
        self.removeReader = self.readers.discard
        self.removeWriter = self.writers.discard


class PipeTests(SynchronousTestCase):
    """Writing."""

    def setUp(self) -> None:
        """A pipe that nobody reads yet."""
        self.reactor = Descriptors()
        self.far, self.near = os.pipe()
        self.pipe = Pipe(self.near, self.reactor)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close what is open."""
        for descriptor in (self.far, self.near):
            if descriptor >= 0:
                os.close(descriptor)

    def start(self, call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Begin a call."""
        return Deferred.fromCoroutine(call)

    def test_slow_reader(self) -> None:
        """A write returns when the reader has made room for all of it, in order; until then
        nothing but its data waits."""
        data = bytes(range(256)) * 4_096
        writing = self.start(self.pipe.write(data))
        self.assertNoResult(writing)
        self.assertEqual(self.reactor.writers, {self.pipe})
        got = b""
        while not writing.called:
            got += os.read(self.far, 65_536)
            self.pipe.doWrite()
        self.successResultOf(writing)
        self.assertEqual(self.reactor.writers, set())
        self.assertEqual(got + os.read(self.far, len(data)), data)

    def test_room(self) -> None:
        """A write that there is room for returns at once."""
        self.successResultOf(self.start(self.pipe.write(b"abc")))
        self.assertEqual(os.read(self.far, 10), b"abc")

    def test_reader_gone(self) -> None:
        """When the reader has gone, whoever writes is told, before, while or after it writes."""
        writing = self.start(self.pipe.write(b"x" * 1_000_000))
        os.close(self.far)
        self.far = -1
        self.pipe.doWrite()
        self.failureResultOf(writing, NobodyReads)
        self.failureResultOf(self.start(self.pipe.write(b"x")), NobodyReads)

    def test_reader_gone_while_idle(self) -> None:
        """It is noticed while there is nothing to write, too."""
        self.assertEqual(self.reactor.readers, {self.pipe})
        self.assertNoResult(self.pipe.closed)
        self.pipe.connectionLost(Failure(NobodyReads()))
        self.successResultOf(self.pipe.closed)
        self.failureResultOf(self.start(self.pipe.write(b"x")), NobodyReads)

    def test_cancelled(self) -> None:
        """A write that is cancelled leaves nothing behind."""
        writing = self.start(self.pipe.write(b"x" * 1_000_000))
        writing.cancel()
        self.failureResultOf(writing)
        self.assertEqual(self.reactor.writers, set())

    def test_as_it_was(self) -> None:
        """Closed, the descriptor blocks again, as whoever has it too expects."""
        self.assertFalse(os.get_blocking(self.near))
        self.pipe.close()
        self.assertTrue(os.get_blocking(self.near))
        self.assertEqual(self.reactor.readers, set())

    def test_file(self) -> None:
        """A plain file takes everything at once; a full disk is named on one line."""
        path = Path(self.mktemp())
        with path.open("wb") as file:
            self.successResultOf(
                self.start(Pipe(file.fileno(), self.reactor).write(b"x" * 1_000_000))
            )
        self.assertEqual(path.stat().st_size, 1_000_000)
        with open("/dev/full", "wb") as full:
            writing = self.start(Pipe(full.fileno(), self.reactor).write(b"x"))
            self.assertIn("No space", str(self.failureResultOf(writing, UserMistake).value))
