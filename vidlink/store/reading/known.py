"""Sessions that were looked up, for as long as nothing can have become of them.

The writer says after each of its rounds what it has done, and only then can the database say
something else. Bound: :data:`MOST_KNOWN` sessions, those looked up last.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from vidlink.model import SessionState
from vidlink.store.index.catalog import Filed
from vidlink.store.sequences.times import age_from_us, state_at

#: So many sessions are known.
MOST_KNOWN = 1_024


@dataclass(slots=True)
class Known:
    """A session as the database has it, and what was found out of it since: when the newest of what
    is recorded was received, once that was looked for; None if something is damaged, which changes
    what is made of it, and no date."""

    filed: Filed
    has_newest: bool = False
    newest_us: int | None = None

    def state(self, now_us: int) -> SessionState:
        """Its state at this moment."""
        record = self.filed.record
        return state_at(record.state, age_from_us(record), now_us)


class LookedUp:
    """The sessions that were looked up last; for the reactor's thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._round = 0

    def get(self, sentinel_id: str, session_id: str) -> Known | None:
        """A session, if it was looked up."""
        return self._known.get((sentinel_id, session_id))

    def clear(self) -> None:
        """From now on the database may say something else."""
        self._known.clear()
        self._round += 1

    def remember(self, looked_up: Deferred[Known]) -> Deferred[Known]:
        """Keep what comes of looking in the database, unless that may say something else by
        then."""
        began = self._round

        def keep(known: Known) -> Known:
            if self._round == began:
                session = known.filed.record.session
                self._known[session.sentinel_id, session.session_id] = known
                if len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
            return known

        return looked_up.addCallback(keep)
