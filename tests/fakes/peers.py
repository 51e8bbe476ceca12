"""Peers without sockets: they speak through a real format, and keep what they are told.

Each stands on both ends of one connection: for the server's conversation it is the peer that
it sends to, for a test it is the Sentinel or the Proctor that says things and hears answers.
The media they send are those of :mod:`tests.fakes.media`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from tests.fakes import media
from vidlink.interfaces import IProctorPeer, ISentinelPeer
from vidlink.messages import ErrorMessage, Message, ProctorRegister, SentinelRegister
from vidlink.model import Frame, InitSegment, Octets, Segment
from vidlink.wire.framing import payload_of, server_frame

if TYPE_CHECKING:
    from vidlink.errors import PeerError
    from vidlink.interfaces import ICodec
    from vidlink.links.ingest.conversation import Ingest
    from vidlink.links.watch.conversation import Watch

Kind = TypeVar("Kind")


class _Peer:
    """What both kinds of peers have in common: a format, what was heard, and the end."""

    conversation: Any = None

    def __init__(self, codec: ICodec) -> None:
        self.codec = codec
        self.heard: list[Message] = []
        #: The error that the server closed with; None while it has not.
        self.closed: PeerError | None = None
        self._is_open = True

    def close(self, error: PeerError) -> None:
        """The server says `error` in band and closes; a second call does nothing."""
        if self._is_open:
            self.hear(*self.codec.encode(ErrorMessage(error.code, str(error))))
            self.closed = error
            self._is_open = False

    def hear(self, payload: Octets, is_binary: bool) -> Message:
        """One message has arrived from the server."""
        message = self.codec.decode(bytes(payload), is_binary)
        self.heard.append(message)
        return message

    def all_heard(self, kind: type[Kind]) -> list[Kind]:
        """What was heard of one kind, in order."""
        return [message for message in self.heard if isinstance(message, kind)]

    def forget(self) -> None:
        """Begin to listen anew."""
        self.heard.clear()

    def vanish(self) -> None:
        """The connection is gone; nothing was said about it."""
        self._is_open = False
        self.conversation.lost()


@implementer(ISentinelPeer)
class FakeSentinelPeer(_Peer):
    """One Sentinel on one connection.

    `probes` are the pings it was sent, for the test to answer.
    """

    conversation: Ingest
    address = "192.0.2.1:1234"

    def __init__(
        self, codec: ICodec, sentinel_id: str = "desk-1", instance_id: str = "one"
    ) -> None:
        super().__init__(codec)
        self.sentinel_id = sentinel_id
        self.instance_id = instance_id
        self.session_id = ""
        self.probes: list[Deferred[bool]] = []
        self.is_held = False
        #: The payloads that were said, newest last.
        self.payloads: list[bytes] = []
        #: The binary ones among them as the frames that they may be forwarded in.
        self.frames: list[Frame] = []

    def send(self, message: Message) -> None:
        """The server sends `message`; not heard once it has closed."""
        if self._is_open:
            self.hear(*self.codec.encode(message))

    def hold(self, is_held: bool) -> None:
        """The server reads nothing more for now, or reads on."""
        self.is_held = is_held

    def probe(self, seconds: float) -> Deferred[bool]:
        """The server sends a ping; the test answers."""
        if not self._is_open:
            return succeed(False)
        self.probes.append(Deferred())
        return self.probes[-1]

    def answer(self, is_alive: bool = True) -> None:
        """Answer all pings, or let the time for them pass."""
        for probe in self.probes:
            if not probe.called:
                probe.callback(is_alive)

    def vanish(self) -> None:
        """The connection is gone, and with it the answers to pings."""
        self.answer(False)
        super().vanish()

    def say(self, message: Message) -> None:
        """The Sentinel sends `message`, and the server takes it as its socket would."""
        self.deliver(*self.codec.encode(message))

    def deliver(self, payload: bytes, is_binary: bool) -> None:
        """The Sentinel sends these octets, whether or not its format would write them so."""
        self.payloads.append(payload)
        if not (is_binary and self.codec.is_canonical):
            self.conversation.received(self.codec.decode(payload, is_binary))
            return
        self.frames.append(frame := server_frame(payload, True))
        message = self.codec.decode(payload_of(frame), True)
        self.conversation.received(message, frame, self.codec.name)

    def register(self, session_id: str, **fields: Any) -> None:
        """Say who it is, and which session comes."""
        self.session_id = session_id
        known = {"software": "vidlink-test/1", "name": "Desk", "group": "office"}
        self.say(
            SentinelRegister(
                sentinel_id=self.sentinel_id,
                instance_id=self.instance_id,
                session_id=session_id,
                **(known | fields),
            )
        )

    def init(
        self, session_id: str | None = None, *, data: bytes | None = None, late: bool = False
    ) -> bytes:
        """Send the initialization segment of a session, by default the one registered.

        Unless it is `late`, what is sent from now on is of that session.
        """
        session_id = session_id or self.session_id
        if not late:
            self.session_id = session_id
        data = media.init_segment() if data is None else data
        self.say(InitSegment(self.sentinel_id, session_id, data, late))
        return data

    def late_segment(self, session_id: str, sequence: int, **wishes: Any) -> bytes:
        """Send one segment of an earlier session; `wishes` are those of `media.segment`."""
        data = media.segment(sequence, **wishes)
        said = self.described(sequence, data, wishes.get("keyframe"), late=True)
        self.say(replace(said, session_id=session_id))
        return data

    def segment(
        self,
        sequence: int,
        *,
        keyframe: bool | None = None,
        framerate_mhz: int = 5_000,
        late: bool = False,
        **wishes: Any,
    ) -> bytes:
        """Send one segment of the session; `wishes` are those of `media.segment`."""
        data = media.segment(sequence, keyframe=keyframe, **wishes)
        self.say(self.described(sequence, data, keyframe, framerate_mhz, late))
        return data

    def described(
        self,
        sequence: int,
        data: bytes,
        keyframe: bool | None = None,
        framerate_mhz: int = 5_000,
        late: bool = False,
    ) -> Segment:
        """`data` with what this Sentinel says of it, true or not."""
        return Segment(
            sentinel_id=self.sentinel_id,
            session_id=self.session_id,
            sequence=sequence,
            start_time_us=media.start_time_us(sequence),
            duration_ms=media.FRAME_MS,
            framerate_mhz=framerate_mhz,
            is_keyframe=media.is_keyframe(sequence) if keyframe is None else keyframe,
            data=data,
            is_late=late,
        )


@implementer(IProctorPeer)
class FakeProctorPeer(_Peer):
    """One Proctor on one connection, that reads when the test lets it.

    `frames` are the frames of what was heard, in the same order.
    """

    conversation: Watch

    def __init__(self, codec: ICodec) -> None:
        super().__init__(codec)
        self.awake = False
        self.frames: list[Frame] = []

    def wake(self) -> None:
        """The server has something for it."""
        self.awake = True

    def say(self, message: Message) -> None:
        """The Proctor sends `message`."""
        self.conversation.received(self.codec.decode(*self.codec.encode(message)))

    def register(self) -> None:
        """Say that it is there."""
        self.say(ProctorRegister("vidlink-test/1"))

    def read(self, room: int | None = None) -> list[Message]:
        """Take what the server has for it, at most `room` messages; None: everything.

        Nothing is taken unless the server has said that there is something, as with a socket
        that is written to only then.
        """
        taken: list[Message] = []
        while self.awake and (room is None or len(taken) < room):
            frame = self.conversation.pull()
            if frame is None:
                self.awake = False
                break
            self.frames.append(frame)
            taken.append(self.hear(*_unframed(frame)))
        return taken

    def forget(self) -> None:
        """Begin to listen anew."""
        super().forget()
        self.frames.clear()


def _unframed(frame: Frame) -> tuple[bytes, bool]:
    """The payload of a frame, and whether it is binary; the header has to fit it."""
    payload = bytes(payload_of(frame))
    is_binary = frame[0] & 0x0F == 2
    assert frame == server_frame(payload, is_binary), "the header is of another frame"
    return payload, is_binary
