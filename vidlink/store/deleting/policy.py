"""Which sessions a policy lets go, in which order: pure functions over values.

The candidates come from `index.deletions`; they go by `remover`. The order is one, and stands in
``docs/reference/store.md``:

1. what is live, is being filled, or is held never goes;
2. sealed sessions go before ended ones, whose tails may still come;
3. among each, the oldest goes first, by its end, and of two of one moment the lower id.

First all go that are too old, then as many as are too much, then as many as the disk needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vidlink.model import Candidate, DeletionReason, Due, Policy, SessionState
from vidlink.store.sequences.times import age_from_us, state_at


def in_order(candidates: Iterable[Candidate], now_us: int) -> list[Candidate]:
    """The candidates that may go, in the order in which they do."""
    found: list[tuple[bool, int, str, Candidate]] = []
    for one in candidates:
        age_us = age_from_us(one)
        if age_us is None or one.is_held or one.state is SessionState.LIVE:
            continue
        is_sealed = state_at(one.state, age_us, now_us) is SessionState.SEALED
        found.append((not is_sealed, age_us, one.session_id, one))
    return [one[-1] for one in sorted(found, key=lambda one: one[:-1])]


def is_too_old(policy: Policy, one: Candidate, now_us: int) -> bool:
    """True if a session is older than `policy` keeps any."""
    most_us, from_us = policy.max_age_us, age_from_us(one)
    return most_us is not None and from_us is not None and from_us <= now_us - most_us


def what_goes(
    policy: Policy,
    candidates: Iterable[Candidate],
    *,
    total_bytes: int,
    free_bytes: int,
    now_us: int,
    is_full: bool = False,
) -> Iterator[Due]:
    """The sessions that `policy` lets go now, in the order in which they do.

    `now_us` is the trusted time. `total_bytes` is what all recordings take, candidates or not.
    `is_full`: a write has failed for lack of room, so at least one goes where room is to be kept,
    whatever `free_bytes` says.
    """

    def is_old(one: Candidate) -> bool:
        return is_too_old(policy, one, now_us)

    for one in sorted(in_order(candidates, now_us), key=is_old, reverse=True):
        if is_old(one):
            reason = DeletionReason.AGE
        elif policy.max_bytes is not None and total_bytes > policy.max_bytes:
            reason = DeletionReason.BYTES
        elif policy.min_free_bytes is not None and (is_full or free_bytes < policy.min_free_bytes):
            reason = DeletionReason.SPACE
        else:
            return
        total_bytes -= one.size_bytes
        free_bytes += one.size_bytes
        is_full = False
        yield Due(one, reason)
