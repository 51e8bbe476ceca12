"""The live side: who publishes, what is remembered, who follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vidlink.interfaces.peers import IPublisher
    from vidlink.model import Arrival, Frame, Registration, SentinelStatus


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
        """The entry at `position`; :exc:`IndexError` unless ``first <= position < end``."""

    def newest_keyframe(at_or_after: int) -> int | None:
        """The newest position >= `at_or_after` where a viewer may join; None if none."""

    def oldest_keyframe(at_or_after: int) -> int | None:
        """The oldest position >= `at_or_after` where a viewer may join; None if none."""

    def trim(now_seconds: float) -> None:
        """Let go of what the window at monotonic time `now_seconds` no longer needs, and of
        the oldest entries while a cap is exceeded; the newest always stays."""


class ICursor(Interface):
    """One viewer's place in one buffer."""

    def next() -> object | None:
        """What comes next: an :class:`~vidlink.model.Arrival`, a
        :class:`~vidlink.relay.cursor.Hole`, or None when there is nothing yet."""

    def finish() -> object | None:
        """The last :class:`~vidlink.relay.cursor.Hole` when the place is given up; None if
        nothing was held back. Nothing comes after it."""


class IHub(Interface):
    """Who publishes, who follows: the server's live state."""

    def claim(registration: Registration, publisher: IPublisher) -> Deferred[Any]:
        """Take a Sentinel's place; fires with its :class:`~vidlink.relay.stream.Stream`,
        or fails with :exc:`~vidlink.errors.IdInUse` or :exc:`~vidlink.errors.NoResources`.

        Cancelling what is returned withdraws the claim: then nothing has changed.
        """

    def stream(sentinel_id: str) -> Any:
        """The stream of a known Sentinel, connected or not; None if never seen."""

    def statuses() -> tuple[SentinelStatus, ...]:
        """A :class:`~vidlink.model.SentinelStatus` of every known Sentinel, by id."""

    tally = Attribute(""":class:`~vidlink.relay.tally.Tally`: what has come, and was not shown.""")

    def tick() -> None:
        """To be called about once a second: states, windows, changes of the list."""
