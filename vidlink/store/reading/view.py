"""One session at one moment: what waits for the disk, and how much of each part counts.

Made in the reactor's thread from the ledger, or in the pool from the database; used in the
pool, by `segment_page`, `media` and `film.reel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vidlink.model import Arrival, Cause, Gap, Session, SessionState
from vidlink.store.files.stored import StoredSession
from vidlink.store.queue.account import Account
from vidlink.store.sequences.times import start_us
from vidlink.store.sequences.window import SequenceWindow


@dataclass(frozen=True, slots=True)
class View:
    """All that there is of `session`.

    `start_time_us` is when the recording begins. `counts` are the durable records of each part,
    None where all count that are there. `waiting`, which ascends in sequence, `init` and `gaps`
    (those that reach into a window) are found out when they are asked for, in the pool, and may
    block, and so does `has_damage` whether it was stated that something of it is damaged, and
    `newest_us` when the newest of what is recorded was received; None if something of it is
    damaged, which changes what is made of it, and no date. `session` itself has no init.
    """

    session: Session
    start_time_us: int
    stored: StoredSession
    state: SessionState
    counts: Mapping[int, int] | None
    arrivals: Sequence[Arrival]
    init: Callable[[], bytes]
    gaps: Callable[[SequenceWindow], tuple[Gap, ...]]
    has_damage: Callable[[], bool]
    newest_us: Callable[[], int | None]

    @property
    def waiting(self) -> list[Arrival]:
        """The segments that are not on the disk yet, by sequence."""
        return sorted(self.arrivals, key=lambda arrival: arrival.segment.sequence)


def view_account(account: Account, stored: StoredSession) -> View:
    """A session that is being recorded, as of now."""
    session = account.session
    taken, gaps, life = account.taken.copy(), tuple(account.gaps), account.life
    counts = dict(account.parts)

    def has_damage() -> bool:
        return any(gap.cause is Cause.DAMAGED for gap in gaps)

    return View(
        session=account.listed,
        start_time_us=start_us(account.record()),
        stored=stored,
        state=account.state,
        counts=counts,
        arrivals=tuple(account.waiting.values()),
        init=lambda: session.init,
        gaps=lambda window: window.explain(taken.spans_near(window), gaps, life),
        has_damage=has_damage,
        newest_us=lambda: None if has_damage() else newest_of(stored, counts),
    )


def newest_of(stored: StoredSession, counts: Mapping[int, int] | None) -> int | None:
    """When the newest of what is recorded was received. Blocks."""
    with stored.records(counts) as records:
        return records.newest_us()
