"""The usual relay on Autobahn, with messages prepared once for all: ``prepared.py ENDPOINT``."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString

reactor: Any = _reactor
viewers: dict[str, dict[Relay, None]] = defaultdict(dict)


class Relay(WebSocketServerProtocol):
    """A publisher, or a viewer of some streams."""

    stream = ""
    watched: tuple[str, ...] = ()

    def onConnect(self, request: Any) -> None:
        """Tell by the path which."""
        _, way, names = request.path.split("/", 2)
        if way == "sub":
            self.watched = tuple(names.split(","))
        else:
            self.stream = names

    def onOpen(self) -> None:
        """Watch from now on."""
        for name in self.watched:
            viewers[name][self] = None

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Watch no more."""
        for name in self.watched:
            viewers[name].pop(self, None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Pass it on."""
        prepared = self.factory.prepareMessage(payload, isBinary)
        for viewer in viewers[self.stream]:
            viewer.sendPreparedMessage(prepared)


if __name__ == "__main__":
    factory = WebSocketServerFactory()
    factory.protocol = Relay
    serverFromString(reactor, sys.argv[1]).listen(factory)
    reactor.run()
