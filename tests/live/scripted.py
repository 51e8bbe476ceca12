"""A Sentinel for live tests that sends what a test tells it to, holes and all."""

from __future__ import annotations

import websocket

from tests.live.proctor import PATIENCE_SECONDS
from vidlink.model import InitSegment, Segment
from vidlink.plugins import find_codecs
from vidlink.testing import media
from vidlink.wire.messages import Message, SentinelRegister

_FORMAT = "vidlink.v1.binary"


class ScriptedSentinel:
    """Connected as `sentinel_id`, with a session begun."""

    def __init__(self, ws_url: str, sentinel_id: str, session_id: str) -> None:
        self._ids = sentinel_id, session_id
        self._codec = next(codec for codec in find_codecs() if codec.name == _FORMAT)
        self._socket = websocket.create_connection(
            f"{ws_url}/ws/sentinel", subprotocols=[_FORMAT], timeout=PATIENCE_SECONDS
        )
        self._say(SentinelRegister(sentinel_id, "scripted", "test/1", session_id))
        self._socket.recv_data()
        self._say(InitSegment(sentinel_id, session_id, media.init_segment()))

    def send(self, *sequences: int) -> None:
        """Send these segments of real pictures, a keyframe every tenth."""
        for sequence in sequences:
            self._say(
                Segment(
                    *self._ids,
                    sequence=sequence,
                    start_time_us=media.start_time_us(sequence),
                    duration_ms=media.FRAME_MS,
                    framerate_mhz=5_000,
                    keyframe=media.is_keyframe(sequence),
                    data=media.segment(sequence),
                )
            )

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _say(self, message: Message) -> None:
        payload, is_binary = self._codec.encode(message)
        opcode = websocket.ABNF.OPCODE_BINARY if is_binary else websocket.ABNF.OPCODE_TEXT
        self._socket.send(payload, opcode)
