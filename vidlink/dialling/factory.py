"""The WebSocket of sentinels and clients before it is open: formats offered, bounds, time-outs.

One connection of it is :mod:`vidlink.dialling.protocol`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.interfaces import IReactorTime

from vidlink.interfaces import ICodec
from vidlink.wire.bounds import MAX_MESSAGE_BYTES


class DiallingFactory(WebSocketClientFactory):
    """Makes connections to the WebSocket at `url`, on which one of `codecs` is spoken."""

    noisy = False
    host: str

    #: Those of the handshake.
    headers: Mapping[str, str]

    def __init__(
        self,
        url: str,
        codecs: Iterable[ICodec],
        clock: IReactorTime,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.codecs = {codec.name: codec for codec in codecs}
        self.clock = clock
        super().__init__(url, protocols=list(self.codecs), headers=dict(headers or {}))
        if ":" in self.host:
            # Autobahn takes the brackets off, and Host needs them (RFC 9110 section 7.2).
            self.host = f"[{self.host}]"
        self.setProtocolOptions(
            version=18,
            failByDrop=False,
            tcpNoDelay=True,
            # Autobahn bounds what is sent by the same numbers: a segment in base64 must fit.
            maxFramePayloadSize=MAX_MESSAGE_BYTES,
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            # Autobahn's timers run on the global reactor; who wants them turns them on.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            autoPingInterval=0,
        )
