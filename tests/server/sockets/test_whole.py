"""Whole messages cut out of what is read, against Autobahn, which takes each octet itself."""

from __future__ import annotations

import struct
from itertools import pairwise
from unittest.mock import patch

from autobahn.twisted.websocket import WebSocketServerFactory
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.rigs.frames import BINARY, CLOSE, PING, PONG, TEXT, handshake
from vidlink.model import Frame
from vidlink.server.sockets import whole
from vidlink.server.sockets.whole import MOST_BYTES, MOST_READS, WholeProtocol, cut
from vidlink.wire.framing import payload_of, server_frame

MOST_MESSAGE_BYTES = 200_000
SIZES = (0, 1, 3, 124, 125, 126, 127, 1_000, 65_535, 65_536, MOST_BYTES, MOST_BYTES + 1)
READ_BYTES = 64 * 1024
BYE = b"bye"
MASK = b"\x11\x00\xfe\x7f"


def frame(
    payload: bytes,
    first: int = 0x80 | BINARY,
    mask: bytes | None = MASK,
    length: int | None = None,
) -> bytes:
    """A client's frame; `length` is the size of the length field, if not the shortest."""
    size = len(payload)
    if length is None:
        length = 0 if size < 126 else 2 if size < 1 << 16 else 8
    bit = 0 if mask is None else 0x80
    head = {
        0: lambda: struct.pack("!BB", first, bit | size),
        2: lambda: struct.pack("!BBH", first, bit | 126, size),
        8: lambda: struct.pack("!BBQ", first, bit | 127, size),
    }[length]()
    if mask is None:
        return head + payload
    repeated = mask * (size // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(payload, repeated, strict=False))


class Transport(StringTransport):
    """What a server's end writes to, and is registered with as it should be; and its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = self
        self.coming = b""

    def recv_into(self, place: memoryview, most: int) -> int:
        """Give what has come."""
        data, self.coming = self.coming[:most], self.coming[most:]
        place[: len(data)] = data
        return len(data)

    def unregisterProducer(self) -> None:
        """It is no more."""


class Taking(WholeProtocol):
    """A server's end that remembers what it took, and which of it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[bytes, bool]] = []
        self.cut = 0
        self.frames_left = 1_000_000

    def onOpen(self) -> None:
        """From now on whole messages may be cut."""
        self.takes_whole = self.factory.takes_whole

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Autobahn has one; some are the last that this end wants."""
        self.taken.append((payload, isBinary))
        if payload == BYE:
            self.failedByMe = True
            self.sendCloseFrame(code=1000)

    def on_frame(self, frame: Frame) -> None:
        """One was cut."""
        if self.state == self.STATE_OPEN:
            payload = bytes(payload_of(frame))
            assert frame == server_frame(payload, True), frame[:10]
            self.cut += 1
            self.onMessage(payload, True)


def taken(reads: list[bytes], takes_whole: bool, is_direct: bool = False) -> tuple[Taking, bytes]:
    """A server's end after these reads, and all that it has sent; `is_direct`: it has read for
    itself."""
    factory = WebSocketServerFactory()
    factory.protocol = Taking
    factory.takes_whole = takes_whole
    factory.setProtocolOptions(
        maxFramePayloadSize=MOST_MESSAGE_BYTES,
        maxMessagePayloadSize=MOST_MESSAGE_BYTES,
        failByDrop=False,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        autoPingInterval=0,
    )
    end, transport = factory.buildProtocol(None), Transport()
    end.makeConnection(transport)
    end.dataReceived(handshake("/", "any"))
    transport.clear()
    for read in reads:
        if is_direct:
            transport.coming = read
            assert end.read() is bool(read)
        else:
            end.dataReceived(read)
    return end, transport.value()


def pieces(octets: bytes, ends: list[int]) -> list[bytes]:
    """`octets` in reads that end at these places, and none of which is longer than 64 KiB."""
    within = {end % (len(octets) + 1) for end in ends}
    places = sorted({0, len(octets), *range(0, len(octets), READ_BYTES), *within})
    return [octets[a:b] for a, b in pairwise(places)]


def of_size(size: int, mask: bytes = MASK) -> bytes:
    """A whole message of so many octets."""
    return frame(bytes(range(256)) * (size // 256) + bytes(size % 256), mask=mask)


MASKS = st.binary(min_size=4, max_size=4)
WHOLE = st.builds(frame, st.binary(max_size=200), mask=MASKS)
SIZED = st.builds(of_size, st.sampled_from(SIZES), MASKS)
#: Now and then there is one that Autobahn has to take, or to refuse.
ODD = st.one_of(
    st.just(frame(BYE)),
    st.builds(frame, st.binary(max_size=125), st.sampled_from([0x80 | PING, 0x80 | PONG])),
    st.builds(frame, st.binary(max_size=125), st.just(0x80 | CLOSE)),
    st.builds(frame, st.binary(max_size=200), st.sampled_from([BINARY, TEXT, 0, 0x80])),
    st.builds(frame, st.binary(max_size=200), st.integers(0, 255)),
    st.builds(frame, st.binary(max_size=125), mask=st.none()),
    st.builds(frame, st.binary(max_size=125), length=st.sampled_from([2, 8])),
    st.just(frame(b"")[:2] + b"\x00"),
    st.just(b"\x82\xff" + struct.pack("!Q", MOST_MESSAGE_BYTES + 1) + MASK + b"x"),
    st.just(b"\x82\xff" + struct.pack("!Q", 1 << 63) + MASK),
    st.binary(max_size=50),
)
ENDS = st.lists(st.integers(0, 1_000_000), max_size=6)
STREAMS = st.lists(st.one_of(WHOLE, WHOLE, SIZED, ODD), max_size=12)


class WholeTests(SynchronousTestCase):
    """One end that cuts, and one that leaves everything to Autobahn."""

    @given(STREAMS, ENDS, st.lists(st.integers(0, 12), max_size=6))
    @example([of_size(MOST_BYTES + 1), *[frame(b"x")] * 3], [70_000, 100_000], [])
    @example([frame(b"a", BINARY), frame(b"b"), frame(b"c", 0x80)], [], [1])
    @example([frame(b"??", 0x80 | PING, b"\x80\0\0\0")], [1], [])
    @example([frame(BYE), frame(b"x")[:4]], [], [])
    def test_as_autobahn(self, frames: list[bytes], ends: list[int], behind: list[int]) -> None:
        """Any octets, cut anywhere, are the same messages, the same answers and the same failures,
        whether whole messages are cut or not, and whoever reads."""
        ends = ends + [len(b"".join(frames[:count])) for count in behind]
        reads = pieces(b"".join(frames), ends)
        stock, stock_sent = taken(reads, False)
        self.assertEqual(stock.cut, 0)
        for is_direct in (False, True):
            cutting, sent = taken(reads, True, is_direct)
            self.assertEqual(cutting.taken, stock.taken)
            self.assertEqual(cutting.state, stock.state)
            self.assertTrue(cutting.state == cutting.STATE_OPEN or not cutting.begun)
            # Close frames carry their reasons, pongs what was asked.
            self.assertEqual(sent, stock_sent)

    @given(st.lists(st.sampled_from(SIZES[:-1]), max_size=8), ENDS)
    def test_cut(self, sizes: list[int], ends: list[int]) -> None:
        """Messages of up to 128 KiB are cut, wherever reads end; larger ones are not."""
        octets = b"".join(of_size(size) for size in sizes)
        direct, _ = taken(pieces(octets, ends), True, is_direct=True)
        cutting, _ = taken(pieces(octets, ends), True)
        self.assertEqual((direct.cut, direct.taken), (cutting.cut, cutting.taken))
        self.assertEqual(len(cutting.taken), len(sizes))
        self.assertEqual(cutting.begun, b"")
        if len(ends) < MOST_READS - MOST_BYTES // READ_BYTES:
            self.assertEqual(cutting.cut, len(sizes))
        before = cutting.cut
        cutting.dataReceived(of_size(MOST_BYTES + 1))
        self.assertEqual((cutting.cut, len(cutting.taken)), (before, len(sizes) + 1))

    def test_dribbled(self) -> None:
        """A frame that comes octet by octet is joined a few times, and then left to Autobahn."""
        octets = [bytes([octet]) for octet in of_size(1_000)]
        for is_direct in (False, True):
            end, _ = taken(octets[: MOST_READS + 2], True, is_direct)
            self.assertEqual(end.begun, b"")
            end, _ = taken(octets, True, is_direct)
            self.assertEqual((end.cut, len(end.taken), end.begun), (0, 1, b""))
            end.dataReceived(frame(b"x"))
            self.assertEqual(end.cut, 1)

    @given(st.lists(WHOLE, max_size=6).map(b"".join))
    def test_without_nvx(self, octets: bytes) -> None:
        """They are the same without the compiled part of Autobahn."""
        with_nvx = cut(octets, MOST_BYTES, 100)
        with patch.object(whole, "lib", None):
            self.assertEqual(cut(octets, MOST_BYTES, 100), with_nvx)

    def test_one_object(self) -> None:
        """Two messages of one read are two objects, of which none is changed by the next read."""
        frames, taken_bytes, is_begun = cut(frame(b"one") + frame(b"two") + b"\x82", 1_000, 100)
        cut(frame(b"xxx") * 2, 1_000, 100)
        self.assertEqual([bytes(payload_of(one)) for one in frames], [b"one", b"two"])
        self.assertEqual((taken_bytes, is_begun), (2 * len(frame(b"one")), True))

    def test_no_more_than_may(self) -> None:
        """No more frames are cut than may be taken now; the rest is Autobahn's."""
        end, _ = taken([], True)
        end.frames_left = 2
        end.dataReceived(frame(b"x") * 5)
        self.assertEqual((end.cut, len(end.taken), end.frames_left), (2, 5, 0))

    def test_handed_back(self) -> None:
        """What is kept of a frame is left to Autobahn where the connection closes meanwhile: the
        peer's close behind it is understood."""
        for takes_whole in (True, False):
            end, _ = taken([frame(bytes(1_000))[:500]], takes_whole)
            self.assertEqual(bool(end.begun), takes_whole)
            end.failedByMe = True
            end.sendCloseFrame(code=1000)
            end.hand_back()
            self.assertEqual(end.begun, b"")
            end.dataReceived(frame(bytes(1_000))[500:] + frame(b"\x03\xe8", 0x80 | CLOSE))
            self.assertEqual((end.taken, end.remoteCloseCode), ([], 1000))
