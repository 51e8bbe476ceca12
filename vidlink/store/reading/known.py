"""Sessions that were looked up, for as long as nothing can have become of them.

The writer says after each of its rounds what it has done, and only then can the database say
something else; of those that nobody writes to, only where it has done more than write. Bound:
:data:`MOST_KNOWN` sessions, those looked up last, with an initialization segment of at most
:data:`MOST_INIT_BYTES` each; and of :data:`MOST_LISTED` of them, the records of some segments.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred

from vidlink.model import SessionState
from vidlink.store.files.layout import RecordNumbers
from vidlink.store.index.catalog import Filed
from vidlink.store.sequences.times import age_from_us, state_at

#: So many sessions are known.
MOST_KNOWN = 1_024
#: Larger initialization segments, which nobody makes, are read each time.
MOST_INIT_BYTES = 8 * 1024
#: Of so many sessions there are records at hand.
MOST_LISTED = 128


#: The part and the record of each of some segments, by sequence.
Rows = dict[int, tuple[int, RecordNumbers]]


@dataclass(slots=True, weakref_slot=True)
class Known:
    """A session as the database has it, and what was found out of it since: when the newest of what
    is recorded was received, once that was looked for; None if something is damaged, which changes
    what is made of it, and no date."""

    filed: Filed
    has_newest: bool = False
    newest_us: int | None = None
    #: Empty: it was not read.
    init: bytes = b""
    rows: Rows = field(default_factory=dict)

    def state(self, now_us: int) -> SessionState:
        """Its state at this moment."""
        record = self.filed.record
        return state_at(record.state, age_from_us(record), now_us)


class LookedUp:
    """The sessions that were looked up last; for the reactor's thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        #: Those with records, the one whose were read last at the end.
        self._listed: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._round = 0

    def get(self, sentinel_id: str, session_id: str) -> Known | None:
        """A session, if it was looked up."""
        return self._known.get((sentinel_id, session_id))

    def clear(self) -> None:
        """From now on the database may say something else."""
        self._known.clear()
        self._listed.clear()
        self._round += 1

    def remember(self, looked_up: Deferred[Known]) -> Deferred[Known]:
        """Keep what comes of looking in the database, unless that may say something else by
        then."""
        began = self._round

        def keep(known: Known) -> Known:
            if self._round == began:
                session = known.filed.record.session
                ids = session.sentinel_id, session.session_id
                self._known[ids] = known
                if len(self._known) > MOST_KNOWN:
                    gone, _ = self._known.popitem(last=False)
                    self._listed.pop(gone, None)
                self._list(ids, known)
            return known

        return looked_up.addCallback(keep)

    def _list(self, ids: tuple[str, str], known: Known) -> None:
        if ids in self._known and known.rows:
            self._listed[ids] = known
            self._listed.move_to_end(ids)
            if len(self._listed) > MOST_LISTED:
                _, other = self._listed.popitem(last=False)
                other.rows = {}
