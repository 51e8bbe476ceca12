"""The rules for media: an init by its boxes, a segment also by its place in the session.

One intake belongs to one session; who is speaking is checked in
:mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from dataclasses import replace

from vidlink.errors import BadMessage, NotMedia
from vidlink.fmp4 import check_init, read_fragment, read_init
from vidlink.links.ingest.times import LiveTimes, check_media_times
from vidlink.messages import DeclareGap
from vidlink.model import (
    SEQUENCE_LIMIT,
    TIME_LIMIT_US,
    Arrival,
    Cause,
    Frame,
    Gap,
    InitSegment,
    Limits,
    Registration,
    Segment,
    Session,
)

#: The words for a cause of ``gap`` that are known: as what it is listed, and with which detail.
KNOWN_CAUSES: dict[str, tuple[Cause, str]] = {
    "spool-full": (Cause.SPOOL_FULL, ""),
    "too-large": (Cause.DECLARED, "a picture was larger than the server takes"),
    "damaged": (Cause.DECLARED, "damaged in the sentinel's spool"),
    "computer-asleep": (Cause.ASLEEP, ""),
}


class Intake:
    """The rules for sequence, times and keyframe flag, for the session of an init.

    :param message: the init; what the session is, is said by its boxes.
    :param started_time_us: when the session has begun, by the wall clock.
    :param is_over: nothing of it is live any more, so every sequence has been passed.
    :raises BadMessage: for its size.
    :raises NotMedia: for its boxes.
    """

    def __init__(
        self,
        sentinel: Registration,
        message: InitSegment,
        limits: Limits,
        started_time_us: int,
        *,
        is_over: bool = False,
    ) -> None:
        if len(message.data) > limits.max_init_bytes:
            raise BadMessage(f"an init is at most {limits.max_init_bytes} bytes")
        media = read_init(message.data)
        check_init(message.data, media)
        self.session = Session(
            sentinel_id=sentinel.sentinel_id,
            session_id=message.session_id,
            name=sentinel.name,
            group=sentinel.group,
            software=sentinel.software,
            started_time_us=started_time_us,
            init=bytes(message.data),
            mime=media.mime,
            width=media.width,
            height=media.height,
            timescale=media.timescale,
            track_id=media.track_id,
        )
        #: The newest sequence of what is not late; -1 before the first one.
        self.last_sequence = SEQUENCE_LIMIT if is_over else -1
        self._media = media
        self._limits = limits
        self._times = LiveTimes(media.timescale)
        self._is_broken = True

    def repeats(self, message: InitSegment) -> bool:
        """True if `message` is this session's own init once more.

        :raises NotMedia: if it is another init under the same session id.
        """
        if message.session_id != self.session.session_id:
            return False
        if message.data != self.session.init:
            raise NotMedia("the init of a session cannot change; begin a new session")
        return True

    def accept(
        self,
        segment: Segment,
        arrived_seconds: float,
        received_time_us: int,
        frame: Frame | None = None,
        spoken: str = "",
    ) -> Arrival | None:
        """The segment with its stamps; None if it is the last one once more, and not as late:
        that one may be asked for again.

        :param arrived_seconds: by the monotonic clock.
        :param received_time_us: by the wall clock.
        :param frame: what it came as, if it may be forwarded so to viewers of `spoken`.
        :raises BadMessage: for its sequence, size or time.
        :raises NotMedia: for its boxes and their times.
        """
        is_next = segment.sequence == self.last_sequence + 1 and not segment.is_late
        if not is_next:
            if segment.sequence == self.last_sequence and not segment.is_late:
                return None
            self._check_sequence(segment)
        self._check_bounds(segment)
        info = read_fragment(segment.data, self._media)
        if info.sequence != segment.sequence:
            raise NotMedia(f"segment {segment.sequence} carries {info.sequence} in its mfhd")
        if info.is_keyframe != segment.is_keyframe:
            raise NotMedia(f"the keyframe flag of segment {segment.sequence} is wrong")
        check_media_times(segment, info, self._media.timescale)
        said_us = start_us = segment.start_time_us
        if segment.is_late:
            # It goes to the recording alone.
            frame = None
        else:
            start_us = self._times.take(segment, info, arrived_seconds, received_time_us)
            self._advance(segment)
        if start_us != said_us:
            # What may be forwarded as it came says the time that was wrong.
            segment, frame = replace(segment, start_time_us=start_us), None
        return Arrival(
            segment,
            info.decode_time,
            info.duration,
            arrived_seconds,
            received_time_us,
            self._is_broken and not segment.is_late,
            frame,
            spoken if frame is not None else "",
            info.sample_offset,
            start_us != said_us,
        )

    def declared(self, message: DeclareGap) -> Gap:
        """The gap that the Sentinel declares.

        :raises BadMessage: if it does not lie in what has been sent.
        """
        if message.last > self.last_sequence:
            raise BadMessage("a gap cannot lie in the future")
        cause, detail = KNOWN_CAUSES.get(message.cause, (Cause.DECLARED, message.cause))
        return Gap(message.first, message.last, cause, detail=detail)

    def _check_bounds(self, segment: Segment) -> None:
        if len(segment.data) > self._limits.max_segment_bytes:
            raise BadMessage(f"a segment is at most {self._limits.max_segment_bytes} bytes")
        if segment.start_time_us + segment.duration_ms * 1_000 >= TIME_LIMIT_US:
            raise BadMessage(f"segment {segment.sequence} ends at a time that is none")

    def _check_sequence(self, segment: Segment) -> None:
        if segment.is_late:
            if segment.sequence > self.last_sequence:
                raise BadMessage("a late segment fills a hole; this one lies in the future")
        elif segment.sequence < self.last_sequence:
            raise BadMessage(
                f"sequence {segment.sequence} came after {self.last_sequence}, and not as late"
            )
        elif segment.sequence - self.last_sequence > self._limits.max_sequence_jump:
            raise BadMessage(f"sequence jumped from {self.last_sequence} to {segment.sequence}")

    def _advance(self, segment: Segment) -> None:
        if segment.is_keyframe:
            self._is_broken = False
        elif segment.sequence != self.last_sequence + 1:
            self._is_broken = True
        self.last_sequence = segment.sequence
