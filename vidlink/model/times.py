"""Times as a calendar has them: microseconds since the epoch may be more than it has names for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def calendar_time(time_us: int) -> datetime | None:
    """The date and time (UTC); None where no calendar has a name for it."""
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return None


def time_or_us(time_us: int, write: Callable[[datetime], str]) -> str:
    """The time as `write` has it, or else the microseconds: ``253402300800000000 us``."""
    at = calendar_time(time_us)
    try:
        return f"{time_us} us" if at is None else write(at)
    except (OverflowError, ValueError):  # In this machine's zone it is of another year.
        return f"{time_us} us"
