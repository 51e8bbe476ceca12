"""The way of what is read past the reactor's dispatch: one descriptor that stands for many.

Twisted calls each socket that can be read in a logging context of its own, which costs as much as
the read. Here the sockets are in an epoll set that is itself one descriptor of the reactor
(epoll(7)), and each reads for itself. What is no plain reading, as the end of a connection, is the
reactor's again.

Bound: each socket is read once in a turn, as by the reactor.
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

_CAN_READ = getattr(select, "EPOLLIN", 0)


@implementer(IReadDescriptor)
class Inlet:
    """The sockets that read for themselves.

    :param reactor: `IReactorFDSet`.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._sockets: dict[int, tuple[Any, Callable[[], bool]]] = {}
        self._poller: Any = None

    def take(self, transport: Any, read: Callable[[], bool], is_paused: bool = False) -> None:
        """Have `read` called when something has come; on a machine without epoll nothing is done.

        :param transport: a plain socket of Twisted's own making.
        :param read: reads once from it; False: the reactor is to look at it again.
        :param is_paused: it is not to be read before it is resumed.
        """
        if self._poller is None:
            if not hasattr(select, "epoll"):
                return
            self._poller = select.epoll()
            self._reactor.addReader(self)
        transport.stopReading()
        number = transport.fileno()
        # All that Twisted has of reading goes through these two.
        transport.startReading = partial(self._start, number, transport, read)
        transport.stopReading = partial(self._stop, number)
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
        for number, event in self._poller.poll(0, max(1, len(self._sockets))):
            # One before it may have closed it, or paused it.
            found = self._sockets.get(number)
            if found is None:
                continue
            transport, read = found
            try:
                is_fine = event == _CAN_READ and read()
            except Exception:
                peer = transport.getPeer()
                self._log.failure("{peer}: a fault of ours; it is cut off", peer=peer)
                transport.abortConnection()
            else:
                if not is_fine:
                    self._give_back(number, transport)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped."""
        for transport, _ in tuple(self._sockets.values()):
            transport.connectionLost(reason)
        self._poller.close()

    def _start(self, number: int, transport: Any, read: Callable[[], bool]) -> None:
        if number not in self._sockets:
            self._sockets[number] = transport, read
            self._poller.register(number, _CAN_READ)

    def _stop(self, number: int) -> None:
        if self._sockets.pop(number, None) is not None:
            self._poller.unregister(number)

    def _give_back(self, number: int, transport: Any) -> None:
        """Let the reactor see to it; what `read` has found is found once more."""
        if number in self._sockets:
            self._stop(number)
            del transport.startReading, transport.stopReading
            transport.startReading()
