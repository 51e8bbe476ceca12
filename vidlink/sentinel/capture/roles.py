"""The roles of source and encoder in the capture; each has a contract suite in ``tests/contracts``.

The roles that cross rooms are in :mod:`vidlink.interfaces`.
"""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface


class ISource(Interface):
    """A source of pictures. Used in the capture thread only; calls may block.

    Pictures are :class:`av.VideoFrame`.
    """

    def open() -> None:
        """Get ready; does nothing while it is open.

        :raises ~vidlink.errors.UserMistake: if it cannot; the text says what to do about it.
        """

    def grab(now_seconds: float) -> Any:
        """The picture of monotonic time `now_seconds`.

        :raises ~vidlink.errors.VidlinkError: if the source is gone.
        """

    def close() -> None:
        """Let go of everything; may be called twice, and before :meth:`open`."""


class IEncoder(Interface):
    """H.264 for one session's size. Used in the capture thread only; calls may block."""

    init = Attribute("""`bytes`: the initialization segment; never changes.""")
    timescale = Attribute("""`int`: ticks a second of `media_time`.""")

    def encode(picture: Any, media_time: int, is_keyframe: bool) -> bytes:
        """One picture as length-prefixed NAL units (ISO/IEC 14496-15), never a frame late."""

    def fits(picture: Any) -> bool:
        """True if `picture` can be encoded under this initialization segment."""

    def close() -> None:
        """Let go of the encoder; may be called twice."""
