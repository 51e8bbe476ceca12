"""Values as the JSON objects of the HTTP interface; ``docs/reference/http.md`` lists them.

Names and units are those of the wire: times in microseconds since the epoch (UTC), durations in
milliseconds, frame rates in frames a second, sizes in bytes. Every field is always there, null
where there is no value.
"""

from __future__ import annotations

from collections.abc import Iterable

from vidlink.model import (
    Due,
    Gap,
    Hold,
    Receipt,
    ReceiptPage,
    RecordingState,
    Registration,
    Retention,
    SegmentPage,
    SegmentRecord,
    SentinelState,
    SentinelStatus,
    SessionPage,
    SessionRecord,
    Span,
)

Json = dict[str, object]

#: What one may do who asks: without credentials everything that the operator allows.
RIGHTS = ("watch", "control", "delete")
ACCESS = "open"


def known_sentinels(
    statuses: Iterable[SentinelStatus], recorded: Iterable[tuple[Registration, int | None]]
) -> list[SentinelStatus]:
    """Every Sentinel once, by id: as the hub sees it, or else offline as history knows it."""
    known = {
        who.sentinel_id: SentinelStatus(
            sentinel_id=who.sentinel_id,
            name=who.name,
            group=who.group,
            state=SentinelState.OFFLINE,
            session_id=None,
            framerate_mhz=None,
            last_segment_time_us=last_time_us,
            recording=RecordingState.NONE,
        )
        for who, last_time_us in recorded
    }
    known.update((status.sentinel_id, status) for status in statuses)
    return [known[sentinel_id] for sentinel_id in sorted(known)]


def sentinel_json(status: SentinelStatus) -> Json:
    """One row of the list of Sentinels."""
    return {
        "sentinelId": status.sentinel_id,
        "name": status.name,
        "group": status.group,
        "state": status.state.value,
        "sessionId": status.session_id,
        "framerate": None if status.framerate_mhz is None else framerate(status.framerate_mhz),
        "lastSegmentTime": status.last_segment_time_us,
        "recording": status.recording.value,
    }


def sessions_json(page: SessionPage) -> Json:
    """One page of sessions."""
    return {"sessions": [summary_json(record) for record in page.sessions], "next": page.next}


def summary_json(record: SessionRecord) -> Json:
    """One session, without its spans and gaps."""
    session = record.session
    return {
        "sentinelId": session.sentinel_id,
        "sessionId": session.session_id,
        "name": session.name,
        "group": session.group,
        "software": session.software,
        "state": record.state.value,
        "startedTime": session.started_time_us,
        "endedTime": record.ended_time_us,
        "endReason": record.end_reason,
        "startTime": record.start_time_us,
        "endTime": record.end_time_us,
        "firstSequence": record.first_sequence,
        "lastSequence": record.last_sequence,
        "segmentCount": record.segment_count,
        "size": record.size_bytes,
        "mime": session.mime,
        "width": session.width,
        "height": session.height,
        "timescale": session.timescale,
        **hold_json(record.hold),
    }


def session_json(record: SessionRecord) -> Json:
    """One session with its spans and gaps."""
    return {
        **summary_json(record),
        "spans": [_span_json(span) for span in record.spans],
        "gaps": [_gap_json(gap) for gap in record.gaps],
    }


def segments_json(sentinel_id: str, session_id: str, page: SegmentPage) -> Json:
    """One page of the segments of a session."""
    return {
        "sentinelId": sentinel_id,
        "sessionId": session_id,
        "segments": [_segment_json(segment) for segment in page.segments],
        "gaps": [_gap_json(gap) for gap in page.gaps],
        "next": page.next,
    }


def hold_json(hold: Hold | None) -> Json:
    """Whether a session is held."""
    return {
        "holdReason": None if hold is None else hold.reason,
        "heldTime": None if hold is None else hold.time_us,
    }


def receipt_json(receipt: Receipt) -> Json:
    """What was deleted, or would be."""
    return {
        "number": receipt.number,
        "deletedTime": receipt.deleted_time_us,
        "reason": receipt.reason.value,
        "by": receipt.by,
        "sentinelId": receipt.sentinel_id,
        "sessionId": receipt.session_id,
        "name": receipt.name,
        "group": receipt.group,
        "startedTime": receipt.started_time_us,
        "endedTime": receipt.ended_time_us,
        "endReason": receipt.end_reason,
        "startTime": receipt.start_time_us,
        "endTime": receipt.end_time_us,
        "firstSequence": receipt.first_sequence,
        "lastSequence": receipt.last_sequence,
        "segmentCount": receipt.segment_count,
        "size": receipt.size_bytes,
        "lost": [{"cause": cause, "segments": count} for cause, count in receipt.lost],
        "parts": receipt.parts,
        "recordsSha256": receipt.records_sha256,
    }


def receipts_json(page: ReceiptPage) -> Json:
    """One page of receipts."""
    return {"receipts": [receipt_json(one) for one in page.receipts], "next": page.next}


def retention_json(retention: Retention) -> Json:
    """The policy, what there is, and what would go now."""
    policy, totals = retention.policy, retention.totals
    age_us = policy.max_age_us
    return {
        "retainSeconds": None if age_us is None else age_us // 1_000_000,
        "retainBytes": policy.max_bytes,
        "minFreeBytes": policy.min_free_bytes,
        "rehearsal": policy.is_rehearsal,
        "sessions": totals.sessions,
        "size": totals.bytes,
        "heldSessions": totals.held_sessions,
        "heldSize": totals.held_bytes,
        "freeBytes": retention.free_bytes,
        "due": [_due_json(one) for one in retention.due],
        "more": retention.is_more,
    }


def _due_json(due: Due) -> Json:
    one = due.candidate
    return {
        "sentinelId": one.sentinel_id,
        "sessionId": one.session_id,
        "reason": due.reason.value,
        "endedTime": one.ended_time_us,
        "size": one.size_bytes,
    }


def framerate(framerate_mhz: int) -> float:
    """Frames a second; an integer without a fraction, as on the wire."""
    return framerate_mhz // 1000 if framerate_mhz % 1000 == 0 else framerate_mhz / 1000


def _segment_json(segment: SegmentRecord) -> Json:
    return {
        "sequence": segment.sequence,
        "startTime": segment.start_time_us,
        "duration": segment.duration_ms,
        "keyframe": segment.keyframe,
        "framerate": framerate(segment.framerate_mhz),
        "size": segment.size_bytes,
        "late": segment.late,
        "undecodable": segment.undecodable,
        "mediaTime": segment.media_time,
        "mediaDuration": segment.media_duration,
        "receivedTime": segment.received_time_us,
        "durable": segment.durable,
    }


def _span_json(span: Span) -> Json:
    return {
        "first": span.first,
        "last": span.last,
        "startTime": span.start_time_us,
        "endTime": span.end_time_us,
        "size": span.size_bytes,
    }


def _gap_json(gap: Gap) -> Json:
    return {
        "first": gap.first,
        "last": gap.last,
        "cause": gap.cause.value,
        "startTime": gap.start_time_us,
        "endTime": gap.end_time_us,
        "detail": gap.detail,
    }
