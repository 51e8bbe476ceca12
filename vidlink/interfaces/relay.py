"""The live side: what is remembered, who follows; who publishes is in :mod:`.peers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from vidlink.model import Arrival, Frame


class IFollower(Interface):
    """Somebody who follows one stream; told in the reactor turn in which it happens.

    Calls must be short and must not raise; what there is to see is pulled through cursors.
    """

    def stirred() -> None:
        """A segment has arrived, or a session has begun or ended."""


class IBuffer(Interface):
    """The memory buffer of one session: the newest segments, by ascending position.

    Positions count arrivals from 0 and are never reused.
    """

    first = Attribute("""`int`: the position of the oldest entry held.""")
    end = Attribute("""`int`: one past the position of the newest; equal to `first` if empty.""")
    newest_sequence = Attribute(
        """`int | None`: of the newest segment ever appended, whether still held or not."""
    )
    size_bytes = Attribute(
        """`int`: octets held: the media, what was encoded of them for viewers of other formats,
        and a fixed sum for what else an entry costs."""
    )

    def append(arrival: Arrival) -> bool:
        """Add the newest segment. True if since the last one a cap has forced entries out that
        the window keeps."""

    def keep(arrival: Arrival, name: str, frame: Frame) -> None:
        """Keep with `arrival`, which must be held, what it is in the format `name`; counted in
        `size_bytes`. A cap that this exceeds is kept at the next append or trim."""

    def at(position: int) -> Arrival:
        """The entry at `position`.

        :raises IndexError: unless ``first <= position < end``.
        """

    def newest_keyframe(at_or_after: int) -> int | None:
        """The newest position >= `at_or_after` where a viewer may join; None if none."""

    def oldest_keyframe(at_or_after: int) -> int | None:
        """The oldest position >= `at_or_after` where a viewer may join; None if none."""

    def trim(now_seconds: float) -> None:
        """Let go of what the window at monotonic time `now_seconds` no longer needs, and of
        the oldest entries while a cap is exceeded; the newest always stays."""
