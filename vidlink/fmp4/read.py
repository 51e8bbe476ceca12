"""Media segments: when their frames are due, and whether a viewer may join there.

This runs once for every segment on the server's live path. What our own writer laid out is
read in one step here, everything else box by box in `walk`; the initialization segment is in
`init`.
"""

from __future__ import annotations

from vidlink.fmp4 import layout
from vidlink.fmp4.init import MediaInfo
from vidlink.fmp4.ntp import us_from_ntp
from vidlink.fmp4.walk import MAX_MEDIA_TIME, NON_SYNC_BIT, FragmentInfo, read_any_fragment
from vidlink.model import Octets

# fmt: off
_OWN_HEADERS = (
    layout.PRFT_HEADER, layout.MOOF_HEADER, layout.MFHD_HEADER, layout.TRAF_HEADER,
    layout.TFHD_HEADER, layout.TFDT_HEADER, layout.TRUN_HEADER, b"mdat",
)
# fmt: on
_OWN_FLAGS = (
    layout.VERSION_1,
    0,
    layout.DEFAULT_BASE_IS_MOOF,
    layout.VERSION_1,
    layout.OFFSET_DURATION_SIZE_FLAGS,
)


def read_fragment(data: Octets, media: MediaInfo) -> FragmentInfo:
    """Read one media segment: `moof` and `mdat`, before them only what describes them.

    :raises ~vidlink.errors.NotMedia: if it is anything else, or is not of the track of `media`.
    """
    return read_own_fragment(data, len(data), media) or read_any_fragment(data, media)


def read_own_fragment(head: Octets, octets: int, media: MediaInfo) -> FragmentInfo | None:
    """Read a segment of so many octets that is laid out exactly as our writer does, by its `head`;
    None if it is not."""
    if len(head) < layout.WHOLE.size:
        return None
    # fmt: off
    (
        prft, prft_version, _, seconds, fraction, _,
        moof, mfhd, mfhd_version, sequence, traf, tfhd, tfhd_flags, track_id,
        tfdt, tfdt_version, decode_time, trun, trun_flags, count, data_offset,
        duration, size, sample_flags, mdat_size, mdat,
    ) = layout.WHOLE.unpack_from(head)
    # fmt: on
    if (
        (prft, moof, mfhd, traf, tfhd, tfdt, trun, mdat) != _OWN_HEADERS
        or (prft_version, mfhd_version, tfhd_flags, tfdt_version, trun_flags) != _OWN_FLAGS
        or (count, data_offset, track_id) != (1, layout.MOOF.size, media.track_id)
        or mdat_size != octets - layout.WHOLE.size + layout.MDAT_HEADER_BYTES
        or size > mdat_size - layout.MDAT_HEADER_BYTES
        or decode_time > MAX_MEDIA_TIME
    ):
        return None
    return FragmentInfo(
        sequence,
        decode_time,
        duration,
        duration,
        1,
        not sample_flags & NON_SYNC_BIT,
        layout.PRFT.size,
        us_from_ntp(seconds, fraction),
        layout.WHOLE.size if size == mdat_size - layout.MDAT_HEADER_BYTES else 0,
    )
