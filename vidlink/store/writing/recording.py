"""The writing side of one session, in the writer's thread: what is to be done in a round.

It holds every segment until that is synced, so that a failed round can be written again from
memory. Rounds are begun by `writer`; `parts`, `description` and `rows` know what of theirs is on
disk, and what is not yet.
"""

from __future__ import annotations

import os
from collections import deque

from twisted.logger import Logger

from vidlink.model import Arrival, Gap, Ranges, Session
from vidlink.store.files.durability import Durability
from vidlink.store.files.paths import Paths
from vidlink.store.handover.orders import (
    Acknowledged,
    End,
    LookAgain,
    Past,
    Reduced,
    Report,
    SetHold,
)
from vidlink.store.writing.description import Description
from vidlink.store.writing.look import Look
from vidlink.store.writing.part import OpenParts
from vidlink.store.writing.parts import START_BYTES, Parts
from vidlink.store.writing.place import SessionPlace, find_remains, merged
from vidlink.store.writing.rows import Rows


class Recording:
    """One session on its way to the disk; `past` is what there is of one that is opened again.

    That one is marked as being written to, in its folder and in the database, before anything
    is.
    """

    _log = Logger()

    def __init__(
        self,
        session: Session,
        paths: Paths,
        open_parts: OpenParts,
        durability: Durability,
        past: Past | None = None,
    ) -> None:
        self.session = session
        self.ending: End | None = None
        self.retry_seconds = float("-inf")
        #: Its folder has become durable.
        self._has_begun = False
        self._is_marked = past is None
        self._folder = paths.session(session.sentinel_id, session.session_id)
        self._open_parts = open_parts
        self._todo: deque[Arrival] = deque()
        #: Late segments have come, which may be in any order; each step back would begin a part.
        self._has_late = False
        self._dropped: list[Arrival] = []
        self._parts = Parts(self._folder, session.init, open_parts, past)
        self._description = Description(session, self._folder, past, open_parts.disk, durability)
        spans = () if past is None else past.spans
        self.rows = Rows(self._parts, self._description, spans)
        self._has_new_names = False
        self._place = SessionPlace(self._folder, open_parts.disk)
        #: Something of it is not where it was, or not what it was, which has to be found out; the
        #: first of the two was met.
        self._is_displaced = self._was_taken_away = False
        #: The rest of it, if less was found than had been synced.
        self._reduced: Reduced | None = None
        #: Looks by which something is not what was recorded; its records do not say so yet.
        self._torn: list[Look] = []
        self._looked: list[LookAgain] = []
        #: An order about a hold that is not durable yet.
        self._holding: SetHold | None = None

    # What is to be done

    def accept(self, arrival: Arrival) -> None:
        """Record this segment with one of the next rounds."""
        self._todo.append(arrival)
        self._has_late = self._has_late or arrival.segment.is_late

    def state_gap(self, number: int, gap: Gap) -> None:
        """Let gap `number` of the session be `gap`; said again, it has changed."""
        self._description.state_gap(number, gap)
        self.rows.unsaved_gaps.add(number)

    def set_hold(self, order: SetHold) -> None:
        """Let it have this hold from now on, in its folder and in the database."""
        self._holding = order
        self._description.set_hold(order.hold)
        self.rows.is_listed = False

    def leave_out(self, look: Look) -> None:
        """Count as lost what was found not to be what was recorded; when its gaps are on the disk,
        its records say so."""
        self._torn.append(look)
        self._is_displaced = True

    @property
    def is_ready(self) -> bool:
        """True if a round has something to do for it."""
        return (
            bool(self._todo)
            or not self._description.is_written
            or not self.rows.is_listed
            or bool(self.rows.unsaved_gaps)
            or self.ending is not None
        )

    @property
    def is_finished(self) -> bool:
        """True if its end has been written and now is synced."""
        return self._description.closed is not None and self.rows.is_listed

    # One round

    def write(self, budget_bytes: int) -> int:
        """Write what there is, until about `budget_bytes`; returns how many octets that were.

        :raises OSError: the disk fails; then :meth:`lose` has to follow.
        """
        try:
            return self._write(budget_bytes)
        except FileNotFoundError:
            # A new part has no folder any more: what was in that is looked for before it is made.
            self._is_displaced = self._was_taken_away = True
            raise

    def _write(self, budget_bytes: int) -> int:
        size = 0
        if self._is_displaced:
            self._find_remains()
        if not self._description.is_written:
            self._open_parts.disk.make_folders(self._folder)
            self._description.write()
            self._has_new_names = True
            size = START_BYTES
        if not self._is_marked:
            return size
        if self._has_late:
            self._todo = deque(sorted(self._todo, key=lambda arrival: arrival.segment.sequence))
        self._parts.begin()
        size += self._parts.take(self._todo, budget_bytes - size, self._dropped)
        dirty = self._parts.unsynced
        for part in dirty:
            self._has_new_names = self._has_new_names or not part.is_made
            part.flush(self._open_parts)
        if self.ending is not None and not self._todo and not dirty:
            self._close(self.ending)
        elif self._description.wants_gaps:
            size += self._note_gaps()
        return size

    def _find_remains(self) -> None:
        """Go on with what is left of it, in its place; all else of it is lost."""
        torn = [look.torn for look in self._torn]
        remains = find_remains(self._folder, self._open_parts.disk, torn)
        self._parts.leave(remains.counts, remains.next_number)
        self.rows.restart(remains.spans)
        there = merged(remains)
        for look in self._torn:
            look.lose_all_but(there)
        is_damage = not self._was_taken_away
        self._reduced = Reduced(self.session.session_id, there, remains.counts, is_damage)
        self._is_displaced = self._was_taken_away = False

    def _note_gaps(self) -> int:
        """Write down what was said about gaps; returns what that counts."""
        try:
            self._description.write()
        except OSError:
            # The database has them, and with the next statement it is tried again.
            return 0
        self._has_new_names = True
        return START_BYTES

    def _close(self, ending: End) -> None:
        """Write the ending. Everything before it has been synced in an earlier round."""
        self._parts.close()
        self._description.close(ending)
        self.rows.is_listed, self._has_new_names = False, True

    def unsynced(self) -> tuple[list[int], list[str]]:
        """The descriptors and folders that a sync of this round's work has to cover."""
        dirty = self._parts.unsynced
        descriptors = [one for part in dirty for one in self._open_parts.descriptors(part)]
        above = os.path.dirname(self._folder)
        folders = [self._folder, above, os.path.dirname(above)] if self._has_new_names else []
        return descriptors, folders

    def check(self) -> None:
        """Make sure that what was written in this round is where it is looked for.

        :raises OSError: if it is not; then :meth:`lose` has to follow.
        """
        try:
            parts = self._parts
            self._place.check(parts.begun, parts.left, has_new_names=self._has_new_names)
        except OSError:
            self._is_displaced = self._was_taken_away = True
            raise

    def commit(self, report: Report) -> None:
        """Count the round as synced, and put into `report` what has become of it."""
        session_id, is_listed = self.session.session_id, self.rows.is_listed
        self._has_new_names = False
        self._is_marked = self._is_marked or is_listed
        if not self._has_begun:
            self._has_begun = True
            report.begun.append(session_id)
        if self._reduced is not None:
            if not self._reduced.is_damage:
                self._say_reduced(self._reduced)
            report.reduced.append(self._reduced)
            self._reduced = None
        gaps, (arrivals, parts) = self.rows.commit(), self._parts.commit()
        if arrivals or gaps:
            report.acks.append(Acknowledged(session_id, arrivals, gaps, parts))
        if self._dropped:
            report.dropped += [(session_id, arrival) for arrival in self._dropped]
            self._dropped = []
        if self._holding is not None and self._description.is_written and is_listed:
            report.held.append(self._holding)
            self._holding = None
        if self._torn and is_listed:
            # Last: whatever fails, all else is told already.
            self._mark()
        if self._looked:
            report.looked += self._looked
            self._looked = []

    def _mark(self) -> None:
        """Let the records of what was left out say so, once it is stated; what is not marked is
        met again, as it is where the session was closed before anything was stated of it."""
        stated = Ranges(
            (gap.first, gap.last or gap.first)
            for number, gap in self._description.gaps.items()
            if gap.first is not None and number not in self.rows.unsaved_gaps
        )
        for look in tuple(self._torn):
            is_stated = not any(tuple(stated.missing(*one)) for one in look.lost)
            if is_stated:
                try:
                    look.mark(self._open_parts.disk, self._folder)
                except OSError as error:
                    self._log.error("{folder}: {reason}", folder=self._folder, reason=str(error))
            if is_stated or self._description.closed is not None:
                self._torn.remove(look)
                self._looked.append(look.order)

    def _say_reduced(self, reduced: Reduced) -> None:
        self._log.error(
            "session {session} of {sentinel}: files of it were removed or replaced while it was "
            "being recorded; {count} segments are left of it, and what comes goes to a new part",
            session=self.session.session_id,
            sentinel=self.session.sentinel_id,
            count=reduced.there.count,
        )

    def lose(self, retry_seconds: float) -> None:
        """Write everything in the round again, to other files: it has failed."""
        self._todo.extendleft(reversed(self._parts.lose()))
        self._description.lose()
        self.rows.lose()
        self.rows.is_listed = self.rows.is_listed and self._is_marked
        self.retry_seconds = retry_seconds
