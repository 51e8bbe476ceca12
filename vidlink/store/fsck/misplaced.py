"""Finding out anew which segments are misplaced, after their records were lost.

Whether a segment is, was found when it came late, by what was there then (`sequences.fit`), and
only its record said so. Of records that were made anew those are misplaced without which all others
ascend in media time: as few as can be.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from vidlink.disk import Disk
from vidlink.model import Ranges
from vidlink.store.files.flags import change_flags
from vidlink.store.files.layout import MISPLACED, UNVERIFIED
from vidlink.store.files.paths import records_file
from vidlink.store.files.records import SessionRecords

#: Above all media times.
_BEYOND = 2**64


def mark_misplaced(disk: Disk, folder: str) -> None:
    """Say in the records of a session that were made anew which of their segments are misplaced.

    :raises OSError: if they cannot be read or written to.
    """
    lost: dict[int, Ranges] = defaultdict(Ranges)
    with SessionRecords(disk, folder, None) as records:
        floor = -1
        # Part, sequence and media time of those that were made anew, since one that was not.
        fresh: list[tuple[int, int, int]] = []
        for part, (sequence, _, _, _, _, time, _, _, _, flags, *_) in records.beyond({}):
            if flags & MISPLACED:
                continue
            if flags & UNVERIFIED:
                fresh.append((part, sequence, time))
                continue
            _lose(fresh, floor, time, lost)
            fresh, floor = [], time
        _lose(fresh, floor, _BEYOND, lost)
        places = {number: records.places(number, ranges) for number, ranges in lost.items()}
    for number, found in places.items():
        each = (place for low, high in found for place in range(low, high + 1))
        path = os.path.join(folder, records_file(number))
        change_flags(disk, path, each, lambda flags: flags | MISPLACED)


def _lose(
    fresh: Sequence[tuple[int, int, int]], low: int, high: int, lost: dict[int, Ranges]
) -> None:
    """Count as misplaced what of `fresh` does not lie between two times, or does not ascend."""
    between = [one for one in fresh if low < one[2] < high]
    kept = {between[place][1] for place in _longest([time for *_, time in between])}
    for part, sequence, _ in fresh:
        if sequence not in kept:
            lost[part].add(sequence, sequence)


def _longest(times: Sequence[int]) -> list[int]:
    """The places of the most of `times` that ascend."""
    # Of so many that ascend the lowest last one, and its place; and what comes before each.
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for place, time in enumerate(times):
        count = bisect_left(ends, time)
        before.append(at[count - 1] if count else -1)
        ends[count : count + 1] = [time]
        at[count : count + 1] = [place]
    found: list[int] = []
    place = at[-1] if at else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found
