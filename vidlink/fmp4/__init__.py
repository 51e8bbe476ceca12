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
from vidlink.fmp4.boxes import Box, find_moof, iter_boxes
from vidlink.fmp4.init import MediaInfo, read_init, sample_description
from vidlink.fmp4.movie import Caption, Label, SampleTable, write_movie
from vidlink.fmp4.producer import shift_producer_time
from vidlink.fmp4.read import read_fragment, read_own_fragment
from vidlink.fmp4.rebase import rebase_fragment
from vidlink.fmp4.samples import Samples, read_samples
from vidlink.fmp4.tables import Movie, read_movie
from vidlink.fmp4.walk import FragmentInfo
from vidlink.fmp4.write import write_fragment

__all__ = [
    "IDR",
    "PARAMETER_SETS",
    "Box",
    "Caption",
    "FragmentInfo",
    "Label",
    "MediaInfo",
    "Movie",
    "SampleTable",
    "Samples",
    "find_moof",
    "iter_boxes",
    "join_avc",
    "read_fragment",
    "read_init",
    "read_movie",
    "read_own_fragment",
    "read_samples",
    "rebase_fragment",
    "sample_description",
    "shift_producer_time",
    "split_annexb",
    "split_avc",
    "unit_type",
    "write_fragment",
    "write_movie",
]
