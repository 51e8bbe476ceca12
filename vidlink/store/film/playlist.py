"""The HLS playlist of a session (RFC 8216bis), kept as text that grows with the session.

While a session is not sealed its list must only grow, so what comes late into a hole is left
out until then. Where the list is cut is decided in `chapters`.
"""

from __future__ import annotations

from vidlink.model import calendar_time
from vidlink.store.files.layout import KEYFRAME, LATE, MISPLACED
from vidlink.store.files.records import SessionRecords
from vidlink.store.film.chapters import TARGET_SECONDS, Chapter, Chapters
from vidlink.store.film.scene import Decoding
from vidlink.store.sequences.times import media_ticks


class Playlist:
    """The list of one session, as far as it has come.

    :param is_whole: the session is sealed, and what came late is listed in its place.
    """

    def __init__(self, timescale: int, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        self._timescale = timescale
        self._chapters = Chapters(timescale)
        self._decoding = Decoding()
        self._counts: dict[int, int] = {}
        self._seen = -1
        self._entries = bytearray()
        self._has_only_keys = True

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        return len(self._entries) + self._chapters.memory_bytes

    def read(self, records: SessionRecords) -> bool:
        """List what has come since the last time; False if it would not come at the end."""
        known = self._counts
        if all(known.get(part, 0) >= count for part, count in records.counts.items()):
            return True
        for _, row in records.beyond(known):
            sequence, _, _, _, start_us, media_time, duration_ms, _, _, flags, *_ = row
            if flags & LATE and not self.is_whole:
                continue
            if sequence > self._seen:
                # Time -1 is before everything, so it is not shown.
                place = -1 if flags & MISPLACED else media_time
                self.offer(sequence, place, duration_ms, start_us, bool(flags & KEYFRAME))
            elif self.is_whole:
                return False
        for part, count in records.counts.items():
            known[part] = max(count, known.get(part, 0))
        return True

    def offer(
        self, sequence: int, media_time: int, duration_ms: int, start_time_us: int, is_key: bool
    ) -> None:
        """Add the next segment, higher than all before."""
        self._seen = sequence
        if self._decoding.accepts(sequence, media_time, is_key):
            duration = media_ticks(duration_ms, self._timescale)
            made = self._chapters.offer(sequence, media_time, duration, start_time_us, is_key)
        else:
            made = self._chapters.break_off()
        for chapter in made:
            self._has_only_keys = self._has_only_keys and chapter.is_key
            self._entries += self._entry(chapter, is_first=not self._entries)

    def text(self, *, is_over: bool) -> bytes:
        """The playlist; `is_over`: nothing is added to it any more."""
        rest = self._chapters.rest() if is_over else []
        has_only_keys = self._has_only_keys and all(chapter.is_key for chapter in rest)
        head = [
            "#EXTM3U",
            # EXT-X-MAP asks for it.
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{TARGET_SECONDS}",
            "#EXT-X-MEDIA-SEQUENCE:0",
            f"#EXT-X-PLAYLIST-TYPE:{'VOD' if self.is_whole else 'EVENT'}",
        ]
        # Of a list that grows nobody knows yet.
        if self.is_whole and has_only_keys:
            head.append("#EXT-X-INDEPENDENT-SEGMENTS")
        head.append('#EXT-X-MAP:URI="init.mp4"\n')
        pieces = ["\n".join(head).encode("ascii"), bytes(self._entries)]
        for chapter in rest:
            pieces.append(self._entry(chapter, is_first=len(pieces) == 2 and not self._entries))
        if is_over:
            pieces.append(b"#EXT-X-ENDLIST\n")
        return b"".join(pieces)

    def _entry(self, chapter: Chapter, *, is_first: bool) -> bytes:
        lines = []
        if chapter.is_after_gap:
            if not is_first:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += _date(chapter.start_time_us)
        lines.append(f"#EXTINF:{chapter.duration / self._timescale:.6f},")
        # Some players refuse names without an extension that they know.
        lines.append(f"segments/{chapter.first}-{chapter.last}.mp4\n")
        return "\n".join(lines).encode("ascii")


def _date(time_us: int) -> list[str]:
    """The line of a time of capture; none where no calendar has a name for it."""
    time = calendar_time(time_us)
    if time is None:
        return []
    text = time.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return [f"#EXT-X-PROGRAM-DATE-TIME:{text}Z"]
