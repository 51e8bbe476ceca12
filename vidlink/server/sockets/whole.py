"""Whole messages cut out of what was read, unmasked and framed for viewers in one place.

Autobahn takes a message apart in some thirty calls and four copies. Here a binary message that is
one frame, and lies whole in what was read, is unmasked where it is, in a buffer that all
connections share; the header of the frame in which it is forwarded is written where the mask
stood; and it is copied out once. That one object is what the memory buffer holds, what is written
to disk, and what every viewer is sent.

All else is Autobahn's, untouched and in its order: handshake, control frames, text, fragments, all
that is odd or too large, and all that comes while one of these is not over. What is cut has been
checked as Autobahn checks it (RFC 6455 section 5.2): no reserved bit, masked, the shortest length.

Bound: of each connection the beginning of one frame of at most :data:`MOST_BYTES` is kept.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol

from vidlink.model import Frame

try:
    from _nvx_xormasker import ffi, lib
except ImportError:  # The daemon says so at its start.
    ffi = lib = None

#: Larger frames are Autobahn's: it unmasks them as they come, and here they would have to wait.
MOST_BYTES = 128 * 1024
#: A frame that has not come whole after so many reads is Autobahn's too: each joins it anew.
MOST_READS = 8
#: FIN, no reserved bit, a binary message.
_WHOLE_BINARY = 0x82
_MASKED = 0x80
_MASK_BYTES = 4
#: The longest header: two octets, eight of length, the mask.
_HEADER_BYTES = 14
#: So much is read at once.
READ_BYTES = 64 * 1024
#: Room for one read behind the beginning of a frame.
_shared = bytearray(MOST_BYTES + _HEADER_BYTES + READ_BYTES)
_view = memoryview(_shared)
_address: Any = None if ffi is None else ffi.from_buffer(_shared)


def _unmask(begin: int, size: int) -> None:
    """Unmask `size` octets of the shared buffer from `begin`; the mask stands before them."""
    mask = begin - _MASK_BYTES
    if lib is not None:
        masker = lib.nvx_xormask_new(_address + mask)
        lib.nvx_xormask_process(masker, _address + begin, size)
        lib.nvx_xormask_free(masker)
        return
    end = begin + size
    repeated = (bytes(_view[mask:begin]) * (size // _MASK_BYTES + 1))[:size]
    plain = int.from_bytes(_view[begin:end], "little") ^ int.from_bytes(repeated, "little")
    _view[begin:end] = plain.to_bytes(size, "little")


def cut(data: bytes, most_bytes: int, most_frames: int) -> tuple[list[Frame], int, bool]:
    """Cut whole messages from the beginning of `data`, which begins where a frame does.

    :param data: no longer than the shared buffer.
    :param most_bytes: of the payload of one; a longer one is not cut.
    :param most_frames: so many are cut.
    :return: the messages as the frames that a server sends; the octets that they took; and if the
        rest is, as far as it goes, the beginning of one more that may be cut when it is whole.
    """
    # Not into the bytearray itself, which would copy it first.
    _view[: len(data)] = data
    return _cut_shared(len(data), most_bytes, most_frames)


def _cut_shared(end: int, most_bytes: int, most_frames: int) -> tuple[list[Frame], int, bool]:
    """The same of what is in the shared buffer, up to `end`."""
    most_bytes = min(most_bytes, MOST_BYTES)
    frames: list[Frame] = []
    at = 0
    while at < end and len(frames) < most_frames:
        if _shared[at] != _WHOLE_BINARY:
            return frames, at, False
        if end - at < 2:
            return frames, at, True
        size = _shared[at + 1] - _MASKED
        if size < 0:
            return frames, at, False
        head = 2
        if size == 126:
            head = 4
        elif size == 127:
            head = 10
        begin = at + head + _MASK_BYTES
        if begin > end:
            return frames, at, True
        if head > 2:
            size = int.from_bytes(_shared[at + 2 : at + head], "big")
            if size < (126 if head == 4 else 1 << 16):
                return frames, at, False
        if size > most_bytes:
            return frames, at, False
        if begin + size > end:
            return frames, at, True
        _unmask(begin, size)
        # The header without the mask, and without its bit in the second octet, moves up to it.
        first = at + _MASK_BYTES
        _shared[first : first + head] = _shared[at : at + head]
        _shared[first + 1] &= ~_MASKED
        at = begin + size
        frames.append(bytes(_view[first:at]))
    return frames, at, False


class WholeProtocol(WebSocketServerProtocol):
    """A connection whose whole binary messages are cut, as long as it `takes_whole`."""

    takes_whole = False
    #: Frames that may be taken now.
    frames_left = 1
    #: The beginning of a frame that may be cut when it is whole.
    begun = b""
    _reads = 0

    def on_frame(self, frame: Frame) -> None:
        """One whole binary message, as the frame in which it may be forwarded."""
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        """Take the octets of one read."""
        if self.begun:
            data, self.begun = self.begun + data, b""
            self._reads += 1
        if self.takes_whole and self.current_frame is not None:
            rest = self.current_frame.length - self.current_frame_masker.pointer()
            super().dataReceived(data[:rest])
            data = data[rest:]
        if len(data) <= len(_shared) and self._can_cut():
            _view[: len(data)] = data
            data = self._take_shared(len(data))
        if data:
            self._reads = 0
            super().dataReceived(data)

    def read(self) -> bool:
        """Read once from the socket, to where it is cut if that can be; False: nothing more comes,
        or the connection is broken."""
        kernel, begun = self.transport.socket, self.begun
        can_cut = self._can_cut()
        start = len(begun) if can_cut else 0
        try:
            size = kernel.recv_into(_view[start:] if start else _view, READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if can_cut:
            if start:
                _view[:start], self.begun = begun, b""
                self._reads += 1
            rest = self._take_shared(start + size)
        else:
            rest = bytes(_view[:size])
        if rest:
            self.dataReceived(rest)
        return bool(size)

    def _take_shared(self, end: int) -> bytes:
        """Take the messages in the shared buffer up to `end`; what is left for Autobahn."""
        frames, taken, is_begun = _cut_shared(end, self.maxFramePayloadSize, self.frames_left)
        rest = bytes(_view[taken:end]) if taken < end else b""
        if taken:
            self._reads = 0
        self.frames_left -= len(frames)
        for frame in frames:
            self.on_frame(frame)
        if is_begun and self._can_cut():
            if self._reads < MOST_READS:
                self.begun = rest
                return b""
            # Nor is it cut any more: it goes to Autobahn, whoever hands it on.
            self._reads += 1
        return rest

    def hand_back(self) -> None:
        """Leave to Autobahn what was kept; to be called where the connection is to be closed."""
        begun, self.begun = self.begun, b""
        if begun:
            super().dataReceived(begun)

    def _can_cut(self) -> bool:
        return (
            self.takes_whole
            and self.state == self.STATE_OPEN
            and self.current_frame is None
            and not self.inside_message
            and not self.data
            and self._reads <= MOST_READS
        )
