"""Deeds that are written down: who did what, to whose recordings, when and from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Deed(Enum):
    """Something that somebody did, or tried."""

    STARTED = "server-started"
    STOPPED = "server-stopped"
    LOGGED_IN = "logged-in"
    REFUSED = "login-refused"
    LOGGED_OUT = "logged-out"
    WATCHED = "watched"
    FETCHED = "fetched"
    DELETED = "deleted"
    HELD = "held"
    RELEASED = "released"
    CONTROLLED = "controlled"
    CREDENTIALS = "credentials-changed"
    ENROLLED = "enrolled"
    #: Entries that could not be written, and are gone.
    LOST = "entries-lost"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One deed. `about` says to what, in words for programs: a sentinel, a session, times.

    `number` counts from 1 without a hole; `digest` is that of this entry and of all before it.
    """

    number: int
    time_us: int
    deed: Deed
    who: str
    credential_id: str
    address: str
    about: Mapping[str, str | int] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries are asked for; None means any. `after` is the `next` of the page before."""

    who: str | None = None
    sentinel_id: str | None = None
    deed: Deed | None = None
    from_time_us: int | None = None
    to_time_us: int | None = None
    after: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first, and what `after` the next page has (None: there is none)."""

    entries: tuple[AuditEntry, ...]
    next: int | None
