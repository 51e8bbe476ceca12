"""Sessions as a Sentinel holds them until the server has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DroppedRange:
    """Sequences `first` to `last` that the Sentinel has lost; `cause` as in ``gap``."""

    first: int
    last: int
    cause: str


@dataclass(frozen=True, slots=True)
class SpooledSession:
    """One session in the spool.

    `first` and `last` are the lowest and the highest sequence held, None if none is; `newest` is
    the highest that ever was (None: there was no segment). `acknowledged` is the highest
    sequence forgotten because the server has everything up to it (None: none). `dropped` are the
    ranges lost since, in order. `is_corrected` says whether its start times are by the server's
    clock, at capture or since.
    """

    session_id: str
    init: bytes
    is_corrected: bool
    first: int | None
    last: int | None
    newest: int | None
    acknowledged: int | None
    dropped: tuple[DroppedRange, ...] = ()
