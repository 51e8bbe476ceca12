"""The usual relay on picows and uvloop, whose frames are cut in Cython: ``picowsrelay.py PORT``."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import picows
import uvloop

viewers: dict[str, set[Any]] = defaultdict(set)


class Viewer(picows.WSListener):
    """Gets some streams."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def on_ws_connected(self, transport: Any) -> None:
        """Watch from now on."""
        for name in self._names:
            viewers[name].add(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Watch no more."""
        for name in self._names:
            viewers[name].discard(transport)


class Publisher(picows.WSListener):
    """Sends one stream."""

    def __init__(self, name: str) -> None:
        self._viewers = viewers[name]

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Pass it on."""
        if frame.msg_type == picows.WSMsgType.BINARY:
            payload = frame.get_payload_as_bytes()
            for viewer in self._viewers:
                viewer.send(picows.WSMsgType.BINARY, payload)


def listener(request: Any) -> picows.WSListener:
    """Tell by the path which."""
    _, way, names = request.path.decode().split("/", 2)
    return Viewer(names.split(",")) if way == "sub" else Publisher(names)


async def main() -> None:
    """Serve until killed."""
    server = await picows.ws_create_server(
        listener, "127.0.0.1", int(sys.argv[1]), backlog=1024, enable_auto_ping=False
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
