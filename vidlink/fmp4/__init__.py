"""Fragmented MP4 (ISO/IEC 14496-12 and -15): reading what arrives, writing what leaves.

Here belongs whatever knows the layout of a box; standard library only. Pictures are encoded in
:mod:`vidlink.sentinel.capture`, and bytes are kept in :mod:`vidlink.store`.
"""

from vidlink.fmp4.avc import (
    IDR,
    PARAMETER_SETS,
    join_avc,
    split_annexb,
    split_avc,
    unit_type,
)
from vidlink.fmp4.boxes import Box, iter_boxes, moof_offset
from vidlink.fmp4.init import MediaInfo, check_init, read_init, sample_description
from vidlink.fmp4.producer import shift_producer_time
from vidlink.fmp4.read import read_fragment
from vidlink.fmp4.rebase import rebase_fragment
from vidlink.fmp4.sidx import (
    MAX_REFERENCE_BYTES,
    MAX_REFERENCE_DURATION,
    SegmentIndex,
    build_sidx,
    read_sidx,
)
from vidlink.fmp4.walk import FragmentInfo
from vidlink.fmp4.write import write_fragment

__all__ = [
    "IDR",
    "MAX_REFERENCE_BYTES",
    "MAX_REFERENCE_DURATION",
    "PARAMETER_SETS",
    "Box",
    "FragmentInfo",
    "MediaInfo",
    "SegmentIndex",
    "build_sidx",
    "check_init",
    "iter_boxes",
    "join_avc",
    "moof_offset",
    "read_fragment",
    "read_init",
    "read_sidx",
    "rebase_fragment",
    "sample_description",
    "shift_producer_time",
    "split_annexb",
    "split_avc",
    "unit_type",
    "write_fragment",
]
