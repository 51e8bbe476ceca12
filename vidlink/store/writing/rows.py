"""The rows of a session that is written to: what the database has of it, and what it lacks.

How rows are stored is in `index.database`.
"""

from __future__ import annotations

from vidlink.model import Span
from vidlink.store.index.rows import SessionRows, record_of
from vidlink.store.sequences.runs import merge_spans
from vidlink.store.writing.description import Description
from vidlink.store.writing.parts import Parts

#: The spans of a live session in the database may be so old.
PROGRESS_SECONDS = 1.0
#: The place and the last sequence of a run that there is not.
_NONE = -1, -1


class Rows:
    """The rows of one session in the database, and what they lack of `parts` and `description`.

    `spans` are those of one that is opened again.
    """

    def __init__(self, parts: Parts, description: Description, spans: tuple[Span, ...]) -> None:
        self._parts = parts
        self._description = description
        #: The row of the session says how it is, but for what was recorded since.
        self.is_listed = False
        #: The numbers of the gaps that the database lacks.
        self.unsaved_gaps = set(description.gaps)
        self._spans = spans
        self._saved_gaps: list[int] = []
        self._row: int | None = None
        # Of each part, the place of its newest run, and the last sequence of that: as saved, and as
        # in the newest news.
        self._saved_runs: dict[int, tuple[int, int]] = {}
        self._new_runs: dict[int, tuple[int, int]] = {}
        self._saved_seconds = float("-inf")
        #: The spans of parts that are not written to any more, where the database has others.
        self._restarted: list[tuple[int, Span]] | None = None

    def restart(self, spans: list[tuple[int, Span]]) -> None:
        """Save all anew: of what was recorded before, these are left."""
        self._restarted = spans
        self._spans = merge_spans(span for _, span in spans)
        self._saved_runs, self._new_runs = {}, {}
        self.is_listed = False
        self.lose()

    def news(self, now: float) -> SessionRows | None:
        """The rows that the database lacks; None if there is nothing.

        Spans are of what earlier rounds have synced, so that the database never claims more
        than there is.
        """
        is_due = not self.is_listed or now - self._saved_seconds >= PROGRESS_SECONDS
        spans = self._new_spans() if is_due else []
        if self._restarted is not None:
            spans = [*self._restarted, *spans]
        if self.is_listed and not self.unsaved_gaps and not spans:
            return None
        file, gaps, record = self._description.file, self._description.gaps, None
        if not self.is_listed:
            runs = (run for part in self._parts.begun for run in part.runs.runs)
            record = record_of(file, merge_spans([*self._spans, *runs]))
        return SessionRows(
            file=file,
            record=record,
            row=self._row,
            spans=spans,
            gaps=[(number, gaps[number]) for number in sorted(self.unsaved_gaps)],
            is_complete=self._restarted is not None,
            is_filling=file.filling_from is not None,
        )

    def saved(self, news: SessionRows, row: int, now: float) -> None:
        """Remember that the database has `news`, under this row, not synced yet."""
        self._row, self.is_listed, self._saved_seconds = row, True, now
        self._saved_gaps = [number for number, _ in news.gaps]
        self.unsaved_gaps.difference_update(self._saved_gaps)
        if news.spans:
            self._saved_runs.update(self._new_runs)

    def commit(self) -> list[int]:
        """Count what was saved as synced; returns the numbers of the gaps in it."""
        numbers, self._saved_gaps = self._saved_gaps, []
        if self.is_listed:
            self._restarted = None
        return numbers

    def lose(self) -> None:
        """Save all gaps again: they may be there, but then they were not acknowledged."""
        self.unsaved_gaps.update(self._description.gaps)
        self._saved_gaps = []

    def _new_spans(self) -> list[tuple[int, Span]]:
        """Runs that are new or have grown, by part: only the last one of a part can grow."""
        spans: list[tuple[int, Span]] = []
        for part in self._parts.begun:
            runs, number = part.runs, part.number
            newest = len(runs) - 1, runs.highest
            saved = self._saved_runs.get(number, _NONE)
            if newest != saved and newest != _NONE:
                self._new_runs[number] = newest
                spans += [(number, runs.at(one)) for one in range(max(0, saved[0]), newest[0] + 1)]
        return spans
