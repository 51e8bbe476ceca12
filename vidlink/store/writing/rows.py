"""The rows of a session that is written to: what the database has of it, and what it lacks.

How rows are stored is in `index.database`.
"""

from __future__ import annotations

from vidlink.model import Span
from vidlink.store.index.rows import SessionRows, SpanRow, record_of
from vidlink.store.sequences.runs import SpanNumbers, merge_spans
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
        """The rows that the database lacks; None if nothing but :meth:`progress` may be new.

        Spans are of what earlier rounds have synced, so that the database never claims more
        than there is.
        """
        if self.is_listed and not self.unsaved_gaps and self._restarted is None:
            return None
        spans: list[tuple[int, Span]] = []
        if not self.is_listed or self._is_due(now):
            spans = [(part, Span(*numbers)) for part, numbers in self._new_spans()]
        if self._restarted is not None:
            spans = [*self._restarted, *spans]
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

    def progress(self, now: float) -> list[SpanRow]:
        """The spans alone, of a session without other :meth:`news`: every live one once a second.

        :meth:`progressed` has to follow when the database has them.
        """
        row = self._row
        if row is None or not self._is_due(now):
            return []
        return [(row, part, *numbers) for part, numbers in self._new_spans()]

    def progressed(self, now: float) -> None:
        """Remember that the database has the newest spans, not synced yet."""
        self._saved_seconds = now
        self._saved_runs.update(self._new_runs)

    def _is_due(self, now: float) -> bool:
        return now - self._saved_seconds >= PROGRESS_SECONDS

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

    def _new_spans(self) -> list[tuple[int, SpanNumbers]]:
        """Runs that are new or have grown, by part: only the last one of a part can grow."""
        spans: list[tuple[int, SpanNumbers]] = []
        for part in self._parts.begun:
            runs, number = part.runs, part.number
            newest = len(runs) - 1, runs.highest
            saved = self._saved_runs.get(number, _NONE)
            if newest != saved and newest != _NONE:
                self._new_runs[number] = newest
                places = range(max(0, saved[0]), newest[0] + 1)
                spans += [(number, runs.numbers(place)) for place in places]
        return spans
