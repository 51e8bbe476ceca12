"""Counts of the live side since the start, as plain numbers that only grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vidlink.model import Segment, SkipReason


@dataclass(slots=True)
class Tally:
    """Segments and their octets as they came from Sentinels, and what viewers were not sent."""

    segments: int = 0
    size_bytes: int = 0
    #: So many of the segments came late.
    late: int = 0
    #: So many sequences were jumped over.
    jumped: int = 0
    #: Sequences that viewers were not sent, by reason.
    skipped: Counter[SkipReason] = field(default_factory=Counter)

    def received(self, segment: Segment) -> None:
        """Count a segment that has come."""
        self.segments += 1
        self.size_bytes += len(segment.data)
        self.late += segment.is_late
