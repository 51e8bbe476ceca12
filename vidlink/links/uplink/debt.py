"""One session that the server has not all of, as far as the Sentinel knows.

Which is sent next is :mod:`vidlink.links.uplink.debts`; how,
:mod:`vidlink.links.uplink.late_sending`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from vidlink.messages import DeclareGap
from vidlink.model import Ranges, SpooledSession

#: A session that makes no headway although all was sent is delivered again after this, and each
#: time it does not, after twice as long.
PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS = 30.0, 600.0
#: The last acknowledgements of a session that was live just now are waited for.
ENDING_SECONDS = 3.0
#: Why something is missing that is not in the spool, and was not dropped by it.
NOT_HELD = "not-held"


class Stage(Enum):
    """Stages in the delivery of a session on one connection."""

    WAITING = "waiting"
    #: Its `init` was sent; what is wanted follows.
    OPEN = "open"
    #: `backfill.done` was sent; the next acknowledgement says that it is sealed.
    DONE = "done"


@dataclass(slots=True, eq=False)
class Debt:
    """The part of one session that is to be sent on this connection."""

    session_id: str
    #: The highest sequence.
    newest: int
    #: Nothing more is captured of it.
    is_over: bool = True
    #: None while all that is held of it is to be sent.
    wanted: Ranges | None = None
    #: The last sequence up to which it was found out what is to be sent.
    covered: int = -1
    stage: Stage = Stage.WAITING
    #: The sequence up to which it was acknowledged since it was opened.
    reached: int = -1
    not_before_seconds: float = float("-inf")
    moved_seconds: float = 0.0
    patience_seconds: float = PATIENCE_SECONDS
    #: The sequences that are to be sent now.
    ranges: Ranges = field(default_factory=Ranges)

    def open(self, spooled: SpooledSession, now: float) -> None:
        """Find out what has to follow the `init`, which is sent now."""
        self.stage, self.moved_seconds, self.reached = Stage.OPEN, now, -1
        self.ranges = Ranges() if self.wanted is None else self.wanted
        if self.wanted is None:
            self.covered = -1 if spooled.first is None else spooled.first - 1
        # Opened again, it was asked for nothing, so all of it is sent.
        self.wanted = None
        if spooled.last is not None:
            self.grow(spooled.last)

    def grow(self, newest: int) -> None:
        """Add what was captured since it was found out what is to be sent."""
        if self.stage is Stage.OPEN:
            self.ranges.add(self.covered + 1, newest)
            self.covered = max(self.covered, newest)

    def put_off(self, now: float) -> None:
        """Send all of it again, later: the server does not take it now."""
        if self.stage is not Stage.WAITING:
            self.not_before_seconds = now + self.patience_seconds
            self._lose_patience(now)
        self.stage, self.wanted = Stage.WAITING, None
        self.ranges.clear()

    def acknowledged(self, sequence: int, now: float) -> None:
        """Note that everything up to `sequence` is durable, or lost for good."""
        if self.stage is Stage.WAITING:
            # It has just ended, and what was sent live of it is still being written.
            self.not_before_seconds = max(self.not_before_seconds, now + ENDING_SECONDS)
        elif sequence > self.reached:
            self.reached, self.moved_seconds = sequence, now
            self.patience_seconds = PATIENCE_SECONDS
            self.ranges.discard(0, sequence)

    def push(self, sent: int, now: float) -> None:
        """Have what was sent, up to sequence `sent`, sent again if nothing has come of it."""
        if self.stage is Stage.WAITING or now - self.moved_seconds < self.patience_seconds:
            return
        if self.stage is Stage.DONE:
            self.put_off(now)
        elif not self.ranges and self.reached < sent:
            self.ranges.add(self.reached + 1, sent)
            self._lose_patience(now)

    @property
    def is_settled(self) -> bool:
        """True if nothing is left but to say so."""
        return self.stage is Stage.OPEN and self.is_over and self.reached >= self.newest

    def _lose_patience(self, now: float) -> None:
        self.moved_seconds = now
        self.patience_seconds = min(2 * self.patience_seconds, LONGEST_PATIENCE_SECONDS)


def gaps(spooled: SpooledSession, first: int, last: int) -> Iterator[DeclareGap]:
    """The gaps to declare for what was dropped of `first` to `last`."""
    for one in spooled.dropped:
        low, high = max(first, one.first), min(last, one.last)
        if low <= high:
            yield DeclareGap(spooled.session_id, low, high, one.cause)
