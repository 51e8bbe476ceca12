"""The fragment writer: one encoded frame in, one media segment out.

FFmpeg's muxer gives a fragment out only when the next frame arrives, which is a whole frame
late; this one needs the frame and nothing else.
"""

from __future__ import annotations

from vidlink.fmp4 import layout
from vidlink.fmp4.ntp import ntp_from_us


def write_fragment(
    *,
    sequence: int,
    decode_time: int,
    duration: int,
    keyframe: bool,
    data: bytes,
    track_id: int = 1,
    producer_time_us: int | None = None,
) -> bytes:
    """Write one frame as a media segment: `prft`, `moof`, `mdat` (14496-12, 8.8 and 8.16.5).

    `data` is the frame as length-prefixed NAL units; `decode_time` and `duration` count in
    the timescale of the initialization segment; `producer_time_us` is when the frame was
    captured, in microseconds since 1970 UTC (None: no `prft`).

    :raises struct.error: if a number does not fit its field: `sequence` and `duration` have 32
        bits, `decode_time` 64.
    """
    size = len(data)
    flags = layout.SYNC_FLAGS if keyframe else layout.NON_SYNC_FLAGS
    # fmt: off
    head = layout.MOOF.pack(
        layout.MOOF_HEADER,
        layout.MFHD_HEADER, 0, sequence,
        layout.TRAF_HEADER,
        layout.TFHD_HEADER, layout.DEFAULT_BASE_IS_MOOF, track_id,
        layout.TFDT_HEADER, layout.VERSION_1, decode_time,
        layout.TRUN_HEADER, layout.OFFSET_DURATION_SIZE_FLAGS, 1, layout.MOOF.size,
        duration, size, flags,
        layout.MDAT_HEADER_BYTES + size, b"mdat",
    )
    # fmt: on
    if producer_time_us is None:
        return head + data
    return b"".join((_producer_time(track_id, decode_time, producer_time_us), head, data))


def _producer_time(track_id: int, decode_time: int, time_us: int) -> bytes:
    """`prft`: the frame of `decode_time` went into the encoder at this time (flags 0)."""
    seconds, fraction = ntp_from_us(time_us)
    return layout.PRFT.pack(
        layout.PRFT_HEADER, layout.VERSION_1, track_id, seconds, fraction, decode_time
    )
