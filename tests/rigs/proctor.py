"""A Proctor for live tests: a blocking WebSocket client that speaks through our codecs."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import websocket

from vidlink.messages import Message, ProctorRegister
from vidlink.plugins import find_codecs

T = TypeVar("T")
#: Five times what anything waited for here takes.
PATIENCE_SECONDS = 30.0


class LiveProctor:
    """Connected and registered; `heard` is everything that was received, in order.

    :param wishes: for `websocket.create_connection`.
    """

    def __init__(self, ws_url: str, name: str = "vidlink.v1.binary", **wishes: Any) -> None:
        self.heard: list[Message] = []
        self._codec = next(codec for codec in find_codecs() if codec.name == name)
        self._socket = websocket.create_connection(
            f"{ws_url}/ws/proctor", subprotocols=[name], timeout=PATIENCE_SECONDS, **wishes
        )
        self.say(ProctorRegister("test/1"))

    def say(self, message: Message) -> None:
        """Send `message`."""
        payload, is_binary = self._codec.encode(message)
        opcode = websocket.ABNF.OPCODE_BINARY if is_binary else websocket.ABNF.OPCODE_TEXT
        self._socket.send(payload, opcode)

    def hear(self) -> Message:
        """The next message."""
        opcode, payload = self._socket.recv_data()
        assert opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT), payload
        message = self._codec.decode(payload, opcode == websocket.ABNF.OPCODE_BINARY)
        self.heard.append(message)
        return message

    def wait_for(self, kind: type[T], where: Any = None) -> T:
        """The next message of `kind` for which `where` is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            message = self.hear()
            if isinstance(message, kind) and (where is None or where(message)):
                return message
        raise AssertionError(f"no {kind.__name__} came")

    def closed(self) -> int:
        """Everything up to the server's close; its code."""
        while True:
            opcode, payload = self._socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(payload[:2], "big")
            is_binary = opcode == websocket.ABNF.OPCODE_BINARY
            self.heard.append(self._codec.decode(payload, is_binary))

    def close(self) -> None:
        """Leave."""
        self._socket.close()
