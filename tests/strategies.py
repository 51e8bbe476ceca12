"""Hypothesis strategies for every message of the wire, over all that it may hold.

The ranges are written out here as the reference states them, not taken from the code, so that
a codec that takes less than it should is found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from vidlink import messages
from vidlink.model import (
    InitSegment,
    RecordingState,
    Segment,
    SentinelState,
    SentinelStatus,
    SkipReason,
    Tier,
)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#: What no text may hold: control characters, line breaks, what turns the direction of text.
UNSPEAKABLE = "".join(
    chr(code)
    for first, last in ((0, 31), (127, 159), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069))
    for code in range(first, last + 1)
)


def texts(most: int) -> st.SearchStrategy[str]:
    """Texts of up to `most` characters that may be shown."""
    speakable = st.characters(exclude_categories=["Cs"], exclude_characters=UNSPEAKABLE)
    return st.text(speakable, max_size=most)


sentinel_ids = st.builds(
    str.__add__, st.sampled_from(_LETTERS), st.text(_LETTERS + "._-", max_size=63)
)
session_ids = st.text(_LETTERS + "_-", min_size=16, max_size=64)
peer_ids = st.text(_LETTERS + "_-", min_size=1, max_size=64)
sequences = st.integers(0, 2**32 - 1)
times_us = st.integers(1 - 2**53, 2**53 - 1)
framerates_mhz = st.integers(1, 1_000_000)
names = texts(128)
sentences = texts(1_024)
codes = st.from_regex(
    r"[a-z][a-z0-9.-]{0,63}", fullmatch=True, alphabet=st.characters(codec="ascii")
)
ranges = st.tuples(sequences, sequences).map(lambda pair: (min(pair), max(pair)))
range_lists = st.lists(ranges, max_size=5).map(tuple)
media = st.binary(min_size=1, max_size=300)


def _tail(session_id: str, interval: tuple[int, int]) -> messages.Tail:
    return messages.Tail(session_id, *interval)


def _bounded(made: type, *before: st.SearchStrategy[Any], **after: st.SearchStrategy[Any]) -> Any:
    """Messages with `first` and `last`, in order, behind the fields `before`."""

    def make(fields: tuple[Any, ...], interval: tuple[int, int], rest: dict[str, Any]) -> Any:
        return made(*fields, *interval, **rest)

    return st.builds(make, st.tuples(*before), ranges, st.fixed_dictionaries(after))


statuses = st.builds(
    SentinelStatus,
    sentinel_id=sentinel_ids,
    name=names,
    group=names,
    state=st.sampled_from(SentinelState),
    session_id=st.none() | session_ids,
    framerate_mhz=st.none() | framerates_mhz,
    last_segment_time_us=st.none() | times_us,
    recording=st.sampled_from(RecordingState),
)

_stamps = st.tuples(times_us, times_us) | st.just((None, None))

#: A strategy for each kind of message; the reference, the codecs and this have to agree.
MESSAGES: Mapping[type, st.SearchStrategy[Any]] = {
    messages.SentinelRegister: st.builds(
        messages.SentinelRegister,
        sentinel_id=sentinel_ids,
        instance_id=peer_ids,
        software=names,
        session_id=session_ids,
        name=names,
        group=names,
        resume=st.lists(st.builds(_tail, session_ids, ranges), max_size=4).map(tuple),
    ),
    messages.SentinelRegistered: st.builds(
        messages.SentinelRegistered,
        server_time_us=times_us,
        limits=st.dictionaries(
            st.text(_LETTERS[:52], min_size=1, max_size=64), st.integers(0, 2**53 - 1), max_size=5
        ),
        resume=st.lists(st.builds(messages.Wanted, session_ids, range_lists), max_size=4).map(
            tuple
        ),
    ),
    InitSegment: st.builds(
        InitSegment,
        sentinel_id=sentinel_ids,
        session_id=session_ids,
        data=media,
        is_late=st.booleans(),
    ),
    Segment: st.builds(
        Segment,
        sentinel_id=sentinel_ids,
        session_id=session_ids,
        sequence=sequences,
        start_time_us=times_us,
        duration_ms=st.integers(0, 2**32 - 1),
        framerate_mhz=framerates_mhz,
        is_keyframe=st.booleans(),
        data=media,
        is_late=st.booleans(),
    ),
    messages.Ack: st.builds(
        messages.Ack,
        session_id=session_ids,
        sequence=sequences,
        missing=range_lists,
        load=st.floats(0, 1),
    ),
    messages.DeclareGap: _bounded(messages.DeclareGap, session_ids, cause=sentences),
    messages.BackfillDone: st.builds(messages.BackfillDone, session_ids),
    messages.Clock: st.builds(lambda t0, stamps: messages.Clock(t0, *stamps), times_us, _stamps),
    messages.KeyframeRequest: st.builds(messages.KeyframeRequest, sentinel_ids),
    messages.FramerateChange: st.builds(messages.FramerateChange, sentinel_ids, framerates_mhz),
    messages.ProctorRegister: st.builds(messages.ProctorRegister, names),
    messages.ProctorRegistered: st.builds(
        messages.ProctorRegistered, peer_ids, times_us, st.lists(codes, max_size=4).map(tuple)
    ),
    messages.Sentinels: st.builds(
        messages.Sentinels, st.booleans(), st.lists(statuses, max_size=4).map(tuple)
    ),
    messages.Subscribe: st.builds(
        messages.Subscribe,
        sentinel_ids,
        st.sampled_from(messages.StartFrom) | st.builds(messages.Place, session_ids, sequences),
        st.sampled_from(Tier),
        st.none() | st.integers(0, 3_600_000),
    ),
    messages.Subscribed: st.builds(
        messages.Subscribed,
        sentinel_ids,
        session_id=st.none() | session_ids,
        mime=st.none() | names,
        width=st.none() | st.integers(1, 2**16 - 1),
        height=st.none() | st.integers(1, 2**16 - 1),
        timescale=st.none() | st.integers(1, 2**32 - 1),
        live_sequence=st.none() | sequences,
        first_sequence=st.none() | sequences,
    ),
    messages.InitRequest: st.builds(messages.InitRequest, sentinel_ids),
    messages.Focus: st.builds(messages.Focus, st.none() | sentinel_ids),
    messages.Unsubscribe: st.builds(messages.Unsubscribe, sentinel_ids),
    messages.Skipped: _bounded(
        messages.Skipped, sentinel_ids, session_ids, reason=st.sampled_from(SkipReason)
    ),
    messages.SessionEnded: st.builds(
        messages.SessionEnded, sentinel_ids, session_ids, reason=sentences
    ),
    messages.ErrorMessage: st.builds(
        messages.ErrorMessage, codes, sentences, about=st.none() | sentences
    ),
}

#: Any message.
any_message: st.SearchStrategy[messages.Message] = st.one_of(*MESSAGES.values())
