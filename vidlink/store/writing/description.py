"""The description of a session that is written to: ``session.json``, and what it lacks.

Its bytes are the business of `files.layout`.
"""

from __future__ import annotations

import os
from dataclasses import replace

from vidlink.disk import Disk
from vidlink.model import Gap, Hold, Session
from vidlink.store.files.durability import Durability
from vidlink.store.files.layout import SessionFile, describe, write_session
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.handover.orders import End, Past

#: Up to so many gaps are written into the description whenever one is stated; of more, whenever
#: they have become more by a part of this many.
_FEW_GAPS, _GAPS_SHARE = 64, 8


class Description:
    """The description of one session in its folder.

    A session that is opened again, of which there is `past`, is marked as being written to, so
    that a start after a kill knows where to look.
    """

    def __init__(
        self, session: Session, folder: str, past: Past | None, disk: Disk, durability: Durability
    ) -> None:
        self._path = os.path.join(folder, SESSION_FILE)
        self._disk = disk
        self._durability = durability
        self._open = describe(session) if past is None else _marked(past)
        #: The description as it was written with the ending; None before that.
        self.closed: SessionFile | None = None
        #: The gaps that were stated, by number.
        self.gaps: dict[int, Gap] = {} if past is None else dict(enumerate(past.gaps))
        #: True if it is in the folder, but for the newest gaps and for the ending.
        self.is_written = False
        self._unnoted = 0

    @property
    def file(self) -> SessionFile:
        """The description as it was written last, or is to be written; but for its gaps."""
        return self.closed or self._open

    @property
    def wants_gaps(self) -> bool:
        """True if enough was said about gaps to write that down: the database may be lost."""
        return bool(self._unnoted) and self._unnoted * _GAPS_SHARE >= len(self.gaps) - _FEW_GAPS

    def state_gap(self, number: int, gap: Gap) -> None:
        """Let gap `number` be `gap`."""
        self.gaps[number] = gap
        self._unnoted += 1

    def set_hold(self, hold: Hold | None) -> None:
        """Let the session have this hold, or none, from the next :meth:`write` on."""
        self._open = replace(self._open, hold=hold)
        self.is_written = False

    def write(self) -> None:
        """Write it as that of a session that goes on.

        :raises OSError: it could not be written.
        """
        self._put(self._open)
        self.is_written = True
        self._unnoted = 0

    def close(self, ending: End) -> None:
        """Write it with the ending; of one that was opened again the first ending counts.

        :raises OSError: it could not be written.
        """
        closed = replace(self._open, is_sealed=ending.is_sealed, filling_from=None)
        if closed.ended_time_us is None:
            closed = replace(
                closed,
                ended_time_us=ending.ended_time_us,
                end_reason=ending.reason,
                age_from_us=ending.age_from_us,
            )
        self._put(closed)
        self.closed = closed

    def lose(self) -> None:
        """Write all of it again: what was written has not been synced."""
        self.is_written, self.closed = False, None

    def _put(self, file: SessionFile) -> None:
        gaps = tuple(self.gaps[number] for number in sorted(self.gaps))
        data = write_session(replace(file, gaps=gaps))
        self._disk.replace(self._path, data, flush=self._durability.has_to_flush)


def _marked(past: Past) -> SessionFile:
    """The description of a session that is being written to after its end."""
    return replace(
        describe(past.session),
        ended_time_us=past.ended_time_us,
        end_reason=past.end_reason,
        filling_from=past.next_number,
        hold=past.hold,
        age_from_us=past.age_from_us,
    )
