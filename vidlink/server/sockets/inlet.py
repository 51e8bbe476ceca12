"""The way of what is read past the reactor's dispatch: one descriptor that stands for many.

Twisted calls each socket that can be read in a logging context of its own, which costs as much as
the read. Here the sockets are in an epoll set that is itself one descriptor of the reactor
(epoll(7)), and each reads for itself. What is no plain reading, as the end of a connection, is the
reactor's again.

Bound: so many sockets are read in a turn of the reactor, and each of them once. The others are
first in the next one, as the kernel goes round.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.model import USUAL

_CAN_READ = getattr(select, "EPOLLIN", 0)


@implementer(IReadDescriptor)
class Inlet:
    """The sockets that read for themselves.

    :param reactor: `IReactorFDSet`.
    :param most: so many are read in a turn.
    """

    _log = Logger()

    def __init__(self, reactor: Any, most: int = USUAL.sockets_per_turn) -> None:
        self._reactor = reactor
        self._most = most
        self._sockets: dict[int, tuple[Any, Callable[[], bool]]] = {}
        self._poller: Any = None

    def take(self, transport: Any, read: Callable[[], bool], is_paused: bool = False) -> None:
        """Have `read` called when something has come; on a machine without epoll nothing is done,
        nor with a connection that is gone.

        :param transport: a plain socket of Twisted's own making.
        :param read: reads once from it; False: the reactor is to look at it again.
        :param is_paused: it is not to be read before it is resumed.
        """
        if not transport.connected or not hasattr(select, "epoll"):
            return
        if self._poller is None:
            self._poller = select.epoll()
            self._reactor.addReader(self)
        transport.stopReading()
        number = transport.fileno()
        # All that Twisted has of reading goes through these two.
        transport.startReading = partial(self._start, number, transport, read)
        transport.stopReading = partial(self._stop, number, transport)
        if not is_paused:
            transport.startReading()

    def fileno(self) -> int:
        """The descriptor that stands for all."""
        return int(self._poller.fileno())

    def logPrefix(self) -> str:
        """The name that its log lines bear."""
        return "inlet"

    def doRead(self) -> None:
        """Let each socket read that can."""
        for number, event in self._poller.poll(0, self._most):
            # One before it may have closed it, or paused it.
            found = self._sockets.get(number)
            if found is None:
                continue
            transport, read = found
            try:
                if event != _CAN_READ or not read():
                    self._give_back(number, transport)
            except Exception:
                peer = transport.getPeer()
                self._log.failure("{peer}: a fault of ours; it is cut off", peer=peer)
                transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped."""
        for number, (transport, _) in tuple(self._sockets.items()):
            try:
                self._stop(number, transport)
                transport.connectionLost(reason)
            except Exception:
                self._log.failure("a fault of ours, as the reactor has stopped")
        self._poller.close()
        self._poller = None

    def _start(self, number: int, transport: Any, read: Callable[[], bool]) -> None:
        if number not in self._sockets:
            self._sockets[number] = transport, read
            self._poller.register(number, _CAN_READ)

    def _stop(self, number: int, transport: Any) -> None:
        # The number may be that of another one by now.
        found = self._sockets.get(number)
        if found is not None and found[0] is transport:
            del self._sockets[number]
            self._poller.unregister(number)
        if not transport.connected:
            self._let_go(transport)

    def _let_go(self, transport: Any) -> None:
        """Nothing of it stays with us, so that nothing holds itself."""
        for name in ("startReading", "stopReading"):
            transport.__dict__.pop(name, None)

    def _give_back(self, number: int, transport: Any) -> None:
        """Let the reactor see to it: of the end it tells once more, of an error as of an end."""
        if number in self._sockets:
            self._stop(number, transport)
            self._let_go(transport)
            transport.startReading()
