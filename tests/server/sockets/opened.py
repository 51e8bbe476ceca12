"""A server's connection in memory, with the buffers and the back-pressure of a real one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure


class Connection(FileDescriptor):
    """The server's end of a connection, and what its client did and saw.

    All of Twisted's own buffering is at work; only the system calls are not.

    :param factory: makes the server's protocol.
    :param room_bytes: what the client takes before it reads again; None: whatever comes.
    """

    def __init__(
        self,
        factory: IProtocolFactory,
        reactor: MemoryReactorClock,
        room_bytes: int | None = None,
    ) -> None:
        super().__init__(reactor=reactor)
        self.clock = reactor
        self.received = bytearray()
        self.room_bytes = room_bytes
        self.lost: Failure | None = None
        self._waiting = b""
        self.connected = 1
        protocol = factory.buildProtocol(self.getPeer())
        assert protocol is not None
        self.protocol: Any = protocol
        self.startReading()
        protocol.makeConnection(self)

    def getPeer(self) -> IAddress:
        """The client's address."""
        return IPv4Address("TCP", "127.0.0.1", 31337)

    def getHost(self) -> IAddress:
        """The server's address."""
        return IPv4Address("TCP", "127.0.0.1", 8080)

    def send(self, data: bytes) -> None:
        """The client sends `data`; it waits in the kernel while the server does not read."""
        self._waiting += data
        self.turn()

    def turn(self) -> None:
        """Let the server read and write until nothing moves any more at this moment."""
        while self._step():
            pass

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.turn()

    def take(self, room_bytes: int | None) -> None:
        """The client takes so much more; None: whatever comes."""
        self.room_bytes = room_bytes
        self.turn()

    def vanish(self) -> None:
        """The client is gone."""
        self.connectionLost(Failure(ConnectionLost()))

    def writeSomeData(self, data: bytes) -> int:
        """The kernel takes what the client has room for."""
        size = len(data) if self.room_bytes is None else min(len(data), self.room_bytes)
        self.received += data[:size]
        if self.room_bytes is not None:
            self.room_bytes -= size
        return size

    def abortConnection(self) -> None:
        """Break the connection in the next turn, as TCP does; what is buffered is lost."""
        if not self.disconnected and self.lost is None:
            self.disconnecting = True
            self.stopReading()
            self.stopWriting()
            self.clock.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def connectionLost(self, reason: Failure) -> None:
        """Tell the protocol, once."""
        if self.lost is None:
            self.lost = reason
            super().connectionLost(reason)
            self.protocol.connectionLost(reason)

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed."""
        return self.lost is None and not self.disconnecting

    @property
    def held_bytes(self) -> int:
        """What the server has written and the client has not taken."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def answers(self) -> list[Answer]:
        """The complete answers that the client has seen, in order."""
        answers = []
        rest = bytes(self.received)
        while b"\r\n\r\n" in rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status, *lines = head.decode("latin-1").split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(": ")
                assert name.lower() not in headers, f"{name} is there twice"
                headers[name.lower()] = value
            size = int(headers.get("content-length", "0"))
            answers.append(Answer(int(status.split()[1]), headers, rest[:size]))
            rest = rest[size:]
        return answers

    def _step(self) -> bool:
        """Read once, write once; whether anything moved."""
        self.clock.advance(0)
        if self.lost is not None:
            return False
        before = len(self.received), len(self._waiting)
        if self._waiting and self in self.clock.getReaders():
            data, self._waiting = self._waiting[:65536], self._waiting[65536:]
            self.protocol.dataReceived(data)
        if self in self.clock.getWriters():
            result = self.doWrite()
            if result is not None:
                self.connectionLost(Failure(result))
        return before != (len(self.received), len(self._waiting)) or self._has_all_written()

    def _has_all_written(self) -> bool:
        return not self.dataBuffer and not self._tempDataBuffer and self in self.clock.getWriters()


class Answer:
    """One HTTP answer: its status, its headers by lower-case name, its body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        """For messages of tests."""
        return f"Answer({self.status}, {self.headers}, {self.body[:200]!r})"

    @property
    def json(self) -> Any:
        """The body as JSON."""
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)

    @property
    def error_code(self) -> str:
        """The code of the error that it reports."""
        return str(self.json["error"]["code"])


class PlainConnection(Connection):
    """The same over a plain socket, into which may also be written past the transport."""

    @property
    def socket(self) -> Kernel:
        """The socket."""
        return Kernel(self)


class Kernel:
    """What a socket does of what is asked of it here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, data: bytes) -> int:
        """Take what there is room for."""
        return self.sendmsg([data])

    def sendmsg(self, buffers: Sequence[bytes]) -> int:
        """The same of many."""
        taken = self._connection.writeSomeData(b"".join(buffers))
        if not taken:
            raise BlockingIOError
        return taken

    def setsockopt(self, *option: int) -> None:
        """It has room as the test says."""

    def getsockopt(self, *option: int) -> bytes:
        """It tells nothing of itself."""
        raise OSError
