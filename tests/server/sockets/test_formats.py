"""Formats at the server's own sockets: what is passed on, and one that somebody else has made."""

from __future__ import annotations

import sys
import tempfile
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import cbor2
from twisted.plugin import pluginPackagePaths
from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from tests.fakes import media
from tests.joined import BINARY, Joined, Peer
from vidlink.messages import (
    KeyframeRequest,
    ProctorRegister,
    ProctorRegistered,
    SentinelRegister,
    SentinelRegistered,
    Subscribe,
    Subscribed,
)
from vidlink.model import InitSegment, Segment
from vidlink.plugins import find_codecs
from vidlink.wire.schema import to_plain

SESSION = "session-0000000001"
INIT = InitSegment("desk-1", SESSION, media.init_segment())
FOREIGN = "zone.example.literals"
#: What somebody else writes into a file of their own: messages as Python's literals.
PLUGIN = """
from ast import literal_eval

from twisted.plugin import IPlugin
from zope.interface import implementer

from vidlink.errors import BadMessage
from vidlink.interfaces import ICodec
from vidlink.wire.schema import from_plain, to_plain


@implementer(IPlugin, ICodec)
class LiteralsCodec:
    name = "zone.example.literals"
    rank = -1
    is_canonical = False

    def encode(self, message):
        plain = to_plain(message)
        if "data" in plain:
            plain["data"] = bytes(plain["data"])
        return repr(plain).encode(), True

    def decode(self, payload, is_binary):
        try:
            plain = literal_eval(payload.decode())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise BadMessage("no literal") from None
        return from_plain(plain)


literals = LiteralsCodec()
"""


def segment(sequence: int) -> Segment:
    """A segment of the session."""
    return Segment(
        sentinel_id="desk-1",
        session_id=SESSION,
        sequence=sequence,
        start_time_us=media.start_time_us(sequence),
        duration_ms=media.FRAME_MS,
        framerate_mhz=5_000,
        is_keyframe=media.is_keyframe(sequence),
        data=media.segment(sequence),
    )


class FormatCase(SynchronousTestCase):
    """Peers at the sockets of a server."""

    server: Joined

    def streaming(self, name: str) -> Peer:
        """A Sentinel of a format that has begun its session."""
        peer = self.server.sentinel(name)
        peer.say(SentinelRegister("desk-1", "one", "test/1", SESSION))
        peer.say(INIT)
        self.server.flush()
        self.assertEqual(peer.kinds()[:1], [SentinelRegistered.__name__])
        return peer

    def watching(self, name: str, offered: list[str] | None = None) -> Peer:
        """A Proctor of a format that watches it."""
        peer = self.server.proctor(name, offered)
        peer.say(ProctorRegister("test/1"))
        peer.say(Subscribe("desk-1"))
        self.server.flush()
        self.assertEqual(peer.kinds()[:1], [ProctorRegistered.__name__])
        self.assertEqual(peer.last(Subscribed).session_id, SESSION)
        return peer


class ForwardingTests(FormatCase):
    """Only a payload of a format that has one spelling for each message is passed on as it came."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()

    def sent(self, peer: Peer) -> list[bytes]:
        """From now on, the payloads that reach `peer`."""
        payloads: list[bytes] = []
        take = peer.onMessage

        def keep(payload: bytes, isBinary: bool) -> None:
            payloads.append(payload)
            take(payload, isBinary)

        peer.onMessage = keep  # type: ignore[method-assign]  # the peer is a test's own
        return payloads

    def test_registers_in_octets(self) -> None:
        """Who registers in a format that is passed on as it came, and has no texts, is known."""
        cbor = self.server.codecs["vidlink.v1.cbor"]
        self.patch(type(cbor), "is_canonical", True)
        self.streaming(cbor.name)
        (link,) = self.server.ingest.links
        self.assertTrue(link.is_known)

    def test_written_anew(self) -> None:
        """What is hidden in a binary frame of CBOR or protobuf ends at the server."""
        hidden = {
            "vidlink.v1.cbor": cbor2.dumps({"more": b"smuggled", **to_plain(segment(0))}),
            "vidlink.v1.protobuf": (
                self.server.codecs["vidlink.v1.protobuf"].encode(segment(0))[0]
                + b"\xca\x3e\x08smuggled"
            ),
        }
        for name, payload in hidden.items():
            self.server = Joined()
            sentinel = self.streaming(name)
            viewer = self.watching(name)
            payloads = self.sent(viewer)
            sentinel.sendMessage(payload, True)
            self.server.flush()
            self.assertEqual(viewer.last(Segment), segment(0))
            self.assertEqual(payloads, [self.server.codecs[name].encode(segment(0))[0]])
            self.assertIsNone(sentinel.closed)

    def test_forwarded(self) -> None:
        """A payload of the binary format goes out as it came."""
        sentinel = self.streaming(BINARY)
        viewer = self.watching(BINARY)
        payloads = self.sent(viewer)
        payload, _ = self.server.codecs[BINARY].encode(segment(0))
        sentinel.sendMessage(payload, True)
        self.server.flush()
        self.assertEqual(payloads, [payload])


class ForeignFormatTests(FormatCase):
    """A format that another package brings, as a file in a folder ``twisted/plugins``."""

    def setUp(self) -> None:
        """Somebody installs it, and starts a server."""
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        folder = Path(room.name) / "twisted" / "plugins"
        folder.mkdir(parents=True)
        (folder / "literals_plugin.py").write_text(PLUGIN)
        self.patch(sys, "path", [room.name, *sys.path])
        # What Twisted finds out once, when a process first looks for plugins.
        paths = [*pluginPackagePaths("twisted.plugins"), *twisted.plugins.__path__]
        self.patch(twisted.plugins, "__path__", list(dict.fromkeys(paths)))
        self.addCleanup(sys.modules.pop, "twisted.plugins.literals_plugin", None)
        invalidate_caches()
        self.server = Joined()

    def test_found(self) -> None:
        """It is found beside ours, at the place that its rank gives it."""
        names = [codec.name for codec in find_codecs()]
        self.assertEqual(names[:2], [FOREIGN, BINARY])
        self.assertEqual(len(names), 5)

    def test_preferred(self) -> None:
        """It is negotiated by its rank, and only with who offers it."""
        peer = self.server.proctor(FOREIGN, [BINARY, FOREIGN])
        self.assertEqual(peer.websocket_protocol_in_use, FOREIGN)
        peer = self.server.proctor(BINARY, [BINARY])
        self.assertEqual(peer.websocket_protocol_in_use, BINARY)

    def test_conversation(self) -> None:
        """A Sentinel and Proctors talk in it, with each other and with all other formats."""
        for sending, watching in (
            *((FOREIGN, name) for name in self.server.codecs),
            *((name, FOREIGN) for name in self.server.codecs),
        ):
            with self.subTest(sending=sending, watching=watching):
                self.server = Joined()
                sentinel, viewer = self.streaming(sending), self.watching(watching)
                for number in range(3):
                    sentinel.say(segment(number))
                self.server.flush()
                heard: list[Any] = [m for m in viewer.heard if isinstance(m, Segment)]
                self.assertEqual(heard, [segment(number) for number in range(3)])
                self.assertEqual(viewer.last(InitSegment), INIT)
                viewer.say(KeyframeRequest("desk-1"))
                self.server.flush()
                self.assertEqual(sentinel.last(KeyframeRequest), KeyframeRequest("desk-1"))
