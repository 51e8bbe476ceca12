"""The list of Sentinels with a version a row, so that a viewer is sent only what is new to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter

from vidlink.model import Frame, SentinelStatus

#: The time of the last segment alone is news only when it has moved on by this much: at five
#: frames a second and 1,000 Sentinels the list would else be sent whole every second.
SEGMENT_TIME_STEP_US = 5_000_000
_ALL_ELSE = attrgetter(
    *(one.name for one in fields(SentinelStatus) if one.name != "last_segment_time_us")
)


class Roster:
    """The rows last published. A viewer remembers one number: the version it has seen."""

    def __init__(self) -> None:
        self.version = 0
        #: Who has seen no newer version is sent the whole list: rows may have gone since.
        self.full_version = 0
        #: The payloads of :meth:`since`, by subprotocol, version and the groups that are seen; of
        #: this version only.
        self.frames: dict[tuple[str, int, frozenset[str] | None], Frame] = {}
        self._rows: dict[str, tuple[int, SentinelStatus]] = {}
        self._has_gone = False

    def publish(self, statuses: Iterable[SentinelStatus]) -> bool:
        """Take the rows as they are now; True if there is a new version."""
        version = self.version + 1
        for status in statuses:
            known = self._rows.get(status.sentinel_id)
            if known is None or _is_news(known[1], status):
                self._rows[status.sentinel_id] = (version, status)
                self.version = version
                if known is not None and known[1].group != status.group:
                    # For some viewers it has gone, for others it has come.
                    self.full_version = version
        if self.version != version:
            return False
        self.frames.clear()
        return True

    def forget(self, sentinel_id: str) -> None:
        """Drop a row; viewers hear of it with the next :meth:`renew`."""
        self._has_gone |= self._rows.pop(sentinel_id, None) is not None

    def renew(self) -> bool:
        """Make a version of which everybody is sent the whole list, if any row has gone."""
        if not self._has_gone:
            return False
        self._has_gone = False
        self.version += 1
        self.full_version = self.version
        self.frames.clear()
        return True

    def since(self, version: int) -> tuple[SentinelStatus, ...]:
        """The rows that are newer than `version`, by id; all of them where rows have gone since."""
        if version < self.full_version:
            version = -1
        rows = (status for changed, status in self._rows.values() if changed > version)
        return tuple(sorted(rows, key=lambda status: status.sentinel_id))


def _is_news(old: SentinelStatus, new: SentinelStatus) -> bool:
    old_us, new_us = old.last_segment_time_us, new.last_segment_time_us
    if old_us != new_us and (
        old_us is None or new_us is None or abs(new_us - old_us) >= SEGMENT_TIME_STEP_US
    ):
        return True
    return bool(_ALL_ELSE(old) != _ALL_ELSE(new))
