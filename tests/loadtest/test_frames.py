"""Tests of the frames of a load test: the server takes them, and what it sends is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.fmp4 import MediaInfo, read_own_fragment, write_fragment
from vidlink.loadtest.film import Film
from vidlink.loadtest.frames import Cutter, ScreenFrames, client_frame
from vidlink.model import InitSegment, Segment
from vidlink.server.sockets.whole import cut
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.framing import payload_of, server_frame

CODEC = BinaryCodec()
FILM = Film(b"init", 90_000, (b"k" * 70_000, b"p" * 900, b"s" * 9))
IDS = ("rehearsal-001", "Wj3_qT-8mZ0aLeR4yCuK2vXd")
MEDIA = MediaInfo("avc1.42C01F", 1920, 1080, 90_000, 1, 0, 0)
TIME_US = 1_700_000_000_123_456


def segment(place: int, sequence: int, time_us: int, media_time: int) -> Segment:
    """The same as a Sentinel has it."""
    data = write_fragment(
        sequence=sequence,
        decode_time=media_time,
        duration=18_000,
        keyframe=place == 0,
        data=FILM.samples[place],
        producer_time_us=time_us,
    )
    return Segment(*IDS, sequence, time_us, 200, 5_000, place == 0, data)


class ScreenFramesTests(SynchronousTestCase):
    """Frames of which only numbers and times are written anew."""

    def test_as_a_sentinel(self) -> None:
        """Each is octet by octet what codec and fragment writer make of it."""
        frames = ScreenFrames(*IDS, FILM, 5_000)
        for sequence, place in enumerate((0, 1, 2, 0, 2, 1)):
            asked = (place, sequence, TIME_US + sequence, 18_000 * sequence)
            whole = b"".join(frames.frame(*asked))
            self.assertEqual(whole, client_frame(CODEC.encode(segment(*asked))[0]))

    def test_server_takes_them(self) -> None:
        """The server cuts them, reads what was meant, and finds a fragment of our own."""
        frames = ScreenFrames(*IDS, FILM, 5_000)
        for place in range(len(FILM.samples)):
            octets = b"".join(frames.frame(place, 7 + place, TIME_US, 126_000))
            (taken,), size, _ = cut(octets, 1 << 24, 32)
            self.assertEqual(size, len(octets))
            said = CODEC.decode(payload_of(taken), True)
            assert isinstance(said, Segment)
            meant = segment(place, 7 + place, TIME_US, 126_000)
            self.assertEqual(CODEC.encode(said), CODEC.encode(meant))
            info = read_own_fragment(said.data, len(said.data), MEDIA)
            assert info is not None
            self.assertEqual((info.decode_time, info.duration), (126_000, 18_000))


def messages() -> list[tuple[bytes, bool]]:
    """Payloads of a server, and which of them are binary."""
    init = CODEC.encode(InitSegment(*IDS, b"init"))
    media = [CODEC.encode(segment(place, place, TIME_US + place, 0)) for place in (0, 1, 2)]
    texts = [b"", b"{}", b'"' + b"x" * 130 + b'"', b" " * 70_000]
    binary = [(b"", True), (b"short", True), init, *media]
    return [*binary, *((text, False) for text in texts)]


class CutterTests(SynchronousTestCase):
    """The octets that a proctor of a load test is sent."""

    @given(
        st.lists(st.sampled_from(range(len(messages()))), max_size=8),
        st.lists(st.integers(1, 80_000), max_size=30),
    )
    def test_any_cut(self, chosen: list[int], steps: list[int]) -> None:
        """However it is cut, each segment is counted once with its number, time and size, and
        each other frame comes whole, all in their order."""
        sent = [messages()[number] for number in chosen]
        # A ping is whole as well.
        frames = [b"\x89\x02hi", *(server_frame(*one) for one in sent)]
        expected: list[object] = [frames[0]]
        for frame, (payload, is_binary) in zip(frames[1:], sent, strict=True):
            said = CODEC.decode(payload, True) if is_binary and len(payload) > 28 else None
            if isinstance(said, Segment):
                expected.append((said.sequence, said.start_time_us, len(payload)))
            else:
                expected.append(frame)
        came: list[object] = []
        cutter = Cutter(lambda *segment: came.append(segment), came.append)
        stream = b"".join(frames)
        for step in (*steps, len(stream)):
            cutter.feed(stream[:step])
            stream = stream[step:]
        cutter.feed(stream)
        self.assertEqual(came, expected)
