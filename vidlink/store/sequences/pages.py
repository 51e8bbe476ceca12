"""The bound of a page, of whatever is listed; what is on one is decided where it is read."""

from __future__ import annotations

#: At most so many sessions, segments or receipts are on one page.
MAX_PAGE = 10_000


def clamp_limit(limit: int) -> int:
    """The number that a page may hold when `limit` are asked for."""
    return max(1, min(MAX_PAGE, limit))
