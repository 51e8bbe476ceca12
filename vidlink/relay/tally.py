"""What has been counted of the live side since the start, as plain numbers that only grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vidlink.model import Segment, SkipReason


@dataclass(slots=True)
class Tally:
    """Segments and their octets as they came from Sentinels; how many of them came late, and how
    many sequences were jumped over; and what viewers were not sent, by reason."""

    segments: int = 0
    size_bytes: int = 0
    late: int = 0
    jumped: int = 0
    skipped: Counter[SkipReason] = field(default_factory=Counter)

    def received(self, segment: Segment) -> None:
        """A segment has come."""
        self.segments += 1
        self.size_bytes += len(segment.data)
        self.late += segment.late
