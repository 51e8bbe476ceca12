"""A scripted Sentinel for live tests: a blocking WebSocket client with our codecs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, TypeVar

import websocket

from tests.fakes import media
from tests.rigs.proctor import PATIENCE_SECONDS
from vidlink.messages import Ack, Message, SentinelRegister, SentinelRegistered, Tail
from vidlink.model import InitSegment, Segment
from vidlink.plugins import find_codecs

T = TypeVar("T")


#: When sessions began, by server and id: whoever delivers the rest of one says the same times.
_BEGAN_US: dict[tuple[str, str], int] = {}


class LiveSentinel:
    """Connected and registered; `heard` is everything that was received, in order.

    :param wishes: for `websocket.create_connection`.
    """

    def __init__(
        self,
        ws_url: str,
        sentinel_id: str,
        session_id: str,
        *tails: Tail,
        name: str = "vidlink.v1.binary",
        **wishes: Any,
    ) -> None:
        self.heard: list[Message] = []
        self._ws_url = ws_url
        self.sentinel_id = sentinel_id
        self.session_id = session_id
        self._codec = next(codec for codec in find_codecs() if codec.name == name)
        self._socket = websocket.create_connection(
            f"{ws_url}/ws/sentinel", subprotocols=[name], timeout=PATIENCE_SECONDS, **wishes
        )
        self.say(SentinelRegister(sentinel_id, "scripted", "test/1", session_id, resume=tails))
        self.registered = self.wait_for(SentinelRegistered)

    def say(self, message: Message) -> None:
        """Send `message`."""
        payload, is_binary = self._codec.encode(message)
        opcode = websocket.ABNF.OPCODE_BINARY if is_binary else websocket.ABNF.OPCODE_TEXT
        self._socket.send(payload, opcode)

    def init(self, session_id: str | None = None) -> None:
        """Send the init of a session: of the live one, or of an earlier one as late."""
        which, data = session_id or self.session_id, media.init_segment()
        self.say(InitSegment(self.sentinel_id, which, data, is_late=session_id is not None))

    def segment(self, sequence: int, session_id: str | None = None) -> bytes:
        """Send a segment of the live session, or of an earlier one as late."""
        said = Segment(
            sentinel_id=self.sentinel_id,
            session_id=session_id or self.session_id,
            sequence=sequence,
            start_time_us=self._began_us(session_id or self.session_id)
            + sequence * media.FRAME_MS * 1_000,
            duration_ms=media.FRAME_MS,
            framerate_mhz=5_000,
            is_keyframe=media.is_keyframe(sequence),
            data=media.segment(sequence),
        )
        self.say(replace(said, is_late=session_id is not None))
        return bytes(said.data)

    def _began_us(self, session_id: str) -> int:
        return _BEGAN_US.setdefault((self._ws_url, session_id), time.time_ns() // 1_000)

    def wait_for(self, kind: type[T], where: Any = None) -> T:
        """The next message of `kind` for which `where` is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            opcode, payload = self._socket.recv_data()
            assert opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT), payload
            message = self._codec.decode(payload, opcode == websocket.ABNF.OPCODE_BINARY)
            self.heard.append(message)
            if isinstance(message, kind) and (where is None or where(message)):
                return message
        raise AssertionError(f"no {kind.__name__} came")

    def acknowledged(self, session_id: str, sequence: int) -> Ack:
        """Wait until a session is acknowledged that far."""
        return self.wait_for(
            Ack, lambda ack: ack.session_id == session_id and ack.sequence >= sequence
        )

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def vanish(self) -> None:
        """The connection is gone, without a farewell."""
        self._socket.shutdown()
