"""Live segments as one film that a player reads from a pipe: an init, then time without holes.

A player that reads an MP4 from a pipe takes one `moov` and ignores every later one. So sessions
are joined when a decoder that was set up for the first can show the next, and not otherwise.
"""

from __future__ import annotations

from struct import error as StructError

from vidlink.errors import NotMedia, VidlinkError
from vidlink.fmp4 import (
    MediaInfo,
    read_fragment,
    read_init,
    rebase_fragment,
    sample_description,
)
from vidlink.model import InitSegment, Segment, Tier


class OtherPicture(VidlinkError):
    """A session has begun that the film so far cannot go on with: its size, or its codec, is
    another one."""

    code = "other-picture"


class Splice:
    """One film of what is given; its time begins at 0.

    After a hole, and with a new session, it goes on where the last frame ended: nobody waits in
    front of a player for a time in which there was nothing.

    :param tier: what was subscribed to; in a film of keyframes every step is one.
    """

    def __init__(self, tier: Tier = Tier.FULL) -> None:
        #: Ticks of the first session's timescale that have been written.
        self.end_ticks = 0
        self._tier = tier
        self._media: MediaInfo | None = None
        self._description = b""
        self._place: tuple[str, int] | None = None
        self._ticks_off = 0

    @property
    def seconds(self) -> float:
        """The length of the film so far."""
        return 0.0 if self._media is None else self.end_ticks / self._media.timescale

    def begin(self, init: InitSegment) -> bytes:
        """Go on with the initialization segment of a session; the octets that it adds to the film.

        :raises OtherPicture: if the film cannot go on with it.
        :raises NotMedia: if it is none.
        """
        media, description = read_init(init.data), sample_description(init.data)
        if self._media is None:
            self._media, self._description = media, description
            return bytes(init.data)
        if (media, description) != (self._media, self._description):
            old, new = self._media, media
            raise OtherPicture(
                f"the picture has changed from {old.width}x{old.height} ({old.codec}) "
                f"to {new.width}x{new.height} ({new.codec})"
            )
        return b""

    def add(self, segment: Segment) -> bytes:
        """The octets that a segment adds; none if it is there already, or no init is.

        :raises NotMedia: if it is none.
        """
        if self._media is None:
            return b""
        data = bytearray(segment.data)
        info = read_fragment(bytes(data), self._media)
        # None: of another session than the one before.
        step = None
        if self._place is not None and segment.session_id == self._place[0]:
            step = segment.sequence - self._place[1]
            if step <= 0:
                return b""
        if step != 1 and (step is None or self._tier is not Tier.KEYFRAMES):
            self._ticks_off = info.decode_time - self.end_ticks
        try:
            rebase_fragment(memoryview(data), self._ticks_off, self._media.timescale)
        except StructError:
            raise NotMedia("its time has 32 bits, and the film is longer by now") from None
        self._place = segment.session_id, segment.sequence
        self.end_ticks = info.decode_time - self._ticks_off + info.duration
        return bytes(data)
