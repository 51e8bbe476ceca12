"""The header of media, octet by octet, and what is wrong with one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import BadMessage
from vidlink.messages import Sentinels
from vidlink.model import InitSegment, Segment
from vidlink.wire.binary import HEADER, INIT, KEYFRAME, LATE, SEGMENT, BinaryCodec

DESK = b"desk-12"
SESSION = b"q7Jm2xVd0bR4tK9w"
CODEC = BinaryCodec()


def payload(
    *,
    kind: int = SEGMENT,
    flags: int = 0,
    duration: int = 200,
    sequence: int = 7,
    start: int = 1_700_000_000_000_000,
    framerate: int = 5_000,
    sentinel_id: bytes = DESK,
    session_id: bytes = SESSION,
    data: bytes = b"moof",
) -> bytes:
    """A media message as any peer could send it."""
    sizes = len(sentinel_id), len(session_id)
    header = HEADER.pack(kind, flags, *sizes, duration, sequence, start, framerate)
    return header + sentinel_id + session_id + data


def init(**changes: object) -> bytes:
    """An initialization segment."""
    zeros = {"duration": 0, "sequence": 0, "start": 0, "framerate": 0}
    return payload(kind=INIT, **{**zeros, **changes})  # type: ignore[arg-type]


#: Payloads that break the rules, by how, and a word of the error that says so.
WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "shorter than its header"),
    "half a header": (payload()[:27], "shorter than its header"),
    "half an id": (payload()[:40], "before its media begin"),
    "no media": (payload(data=b""), "before its media begin"),
    "no media in an init": (init(data=b""), "before its media begin"),
    "kind 0": (payload(kind=0), "kind 0"),
    "kind 3": (payload(kind=3), "kind 3"),
    "a reserved flag": (payload(flags=4), "flags 0x04"),
    "all reserved flags": (payload(flags=0xFC), "flags 0xfc"),
    "a keyframe flag in an init": (init(flags=KEYFRAME), "flags 0x01"),
    "a reserved flag in an init": (init(flags=128), "flags 0x80"),
    "a duration in an init": (init(duration=1), "unused"),
    "a sequence in an init": (init(sequence=1), "unused"),
    "a start time in an init": (init(start=-1), "unused"),
    "a frame rate in an init": (init(framerate=1), "unused"),
    "a sequence of 33 bits": (payload(sequence=2**32), "sequence"),
    "a start that JSON cannot hold": (payload(start=2**53), "startTime"),
    "an early start that JSON cannot hold": (payload(start=-(2**53)), "startTime"),
    "no frame rate": (payload(framerate=0), "framerate"),
    "more than 1,000 frames a second": (payload(framerate=1_000_001), "framerate"),
    "no sentinelId": (payload(sentinel_id=b""), "sentinelId"),
    "a sentinelId that climbs": (payload(sentinel_id=b"../etc"), "sentinelId"),
    "a sentinelId of 65": (payload(sentinel_id=b"d" * 65), "sentinelId"),
    "a sessionId of 15": (payload(session_id=b"s" * 15), "sessionId"),
    "a sessionId of 255": (payload(session_id=b"s" * 255), "sessionId"),
    "an id beyond ASCII": (payload(sentinel_id="désk".encode()), "ASCII"),
    "an id that is not UTF-8": (payload(session_id=b"\xff" * 16), "ASCII"),
}


class BinaryTests(SynchronousTestCase):
    """``vidlink.v1.binary`` and the octets it is made of."""

    def test_segment(self) -> None:
        """Each field of a segment stands where the reference says."""
        segment = Segment(
            sentinel_id="desk-12",
            session_id=SESSION.decode(),
            sequence=0x01020304,
            start_time_us=-2,
            duration_ms=0x05060708,
            framerate_mhz=200,
            is_keyframe=True,
            data=b"moof",
            is_late=True,
        )
        expected = bytes.fromhex("02 03 07 10 05060708 00000000 01020304 fffffffffffffffe 000000c8")
        self.assertEqual(CODEC.encode(segment), (expected + DESK + SESSION + b"moof", True))

    def test_init(self) -> None:
        """An initialization segment has the same header, and zeros where it says nothing."""
        message = InitSegment("desk-12", SESSION.decode(), b"ftyp")
        expected = bytes.fromhex("01 00 07 10") + bytes(24) + DESK + SESSION + b"ftyp"
        self.assertEqual(CODEC.encode(message), (expected, True))

    def test_flags(self) -> None:
        """Both flags are told apart."""
        for flags in (0, KEYFRAME, LATE, KEYFRAME | LATE):
            message = CODEC.decode(payload(flags=flags), True)
            assert isinstance(message, Segment)
            self.assertIs(message.is_keyframe, flags & KEYFRAME != 0)
            self.assertIs(message.is_late, flags & LATE != 0)

    def test_not_copied(self) -> None:
        """Media are a view into what came."""
        whole = payload(data=b"moof" * 1_000)
        message = CODEC.decode(whole, True)
        assert isinstance(message, Segment)
        assert isinstance(message.data, memoryview)
        self.assertIs(message.data.obj, whole)
        self.assertTrue(message.data.readonly)

    def test_view(self) -> None:
        """A payload may be a view into something larger."""
        message = CODEC.decode(memoryview(b"xx" + payload())[2:], True)
        self.assertEqual(CODEC.encode(message), (payload(), True))

    def test_wrong(self) -> None:
        """What breaks the rules is refused, and the error says what it was."""
        for flaw, (whole, word) in WRONG.items():
            with self.subTest(flaw=flaw):
                error = self.assertRaises(BadMessage, CODEC.decode, whole, True)
                self.assertIn(word, str(error))

    def test_wrong_twice(self) -> None:
        """An id that was refused is refused again."""
        for _ in range(2):
            self.assertRaises(BadMessage, CODEC.decode, payload(sentinel_id=b"-"), True)

    def test_ids_are_cut_apart(self) -> None:
        """The same octets with another border between the ids are other ids."""
        for size in (1, 2, 5):
            both = b"d" * 30
            message = CODEC.decode(payload(sentinel_id=both[:size], session_id=both[size:]), True)
            assert isinstance(message, Segment)
            self.assertEqual((len(message.sentinel_id), len(message.session_id)), (size, 30 - size))

    def test_media_in_text(self) -> None:
        """Media travel in binary frames only, where they cost nothing."""
        text = (
            b'{"type":"init","sentinelId":"desk-12","sessionId":"q7Jm2xVd0bR4tK9w","data":"AAAA"}'
        )
        error = self.assertRaises(BadMessage, CODEC.decode, text, False)
        self.assertIn("binary frame", str(error))

    def test_long_control(self) -> None:
        """A text has a bound, which a viewer may raise for the list of a large server."""
        text = b'{"type":"sentinels","full":true,"sentinels":[]' + b" " * 65_536 + b"}"
        error = self.assertRaises(BadMessage, CODEC.decode, text, False)
        self.assertIn("longer than 65536", str(error))
        viewer = BinaryCodec(max_control_bytes=1_000_000)
        self.assertEqual(viewer.decode(text, False), Sentinels(True, ()))
