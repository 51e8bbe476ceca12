"""Every message as a plain dict: the one table that all formats read and write by.

The table is :data:`TABLE`; ``docs/reference/wire.md`` says the same for people. To make
bytes of a dict is a format's business (:mod:`vidlink.wire.jsontext`), except that the media of
:mod:`vidlink.wire.binary` have a header of their own. The table is one idea, whole in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from vidlink import messages, model
from vidlink.errors import BadMessage, Unsendable
from vidlink.wire.kinds import (
    ABSENT,
    FLAG,
    OCTETS,
    Misfit,
    Ratio,
    Sentence,
    Thousandths,
    Word,
    excerpt,
    integer,
    matching,
    text,
)
from vidlink.wire.shapes import Either, Field, Interval, Many, Named, OrNull, Record

#: The highest frame rate that can be said; a Sentinel captures at far less.
MAX_SAID_FRAMERATE_MHZ = 1_000_000
MAX_DURATION_MS = 2**32 - 1
#: Sentinels in one list.
MAX_ROWS = 65_536

SENTINEL_ID = matching(model.SENTINEL_ID)
SESSION_ID = matching(model.SESSION_ID)
PEER_ID = matching(re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII))
CODE = matching(re.compile(r"[a-z][a-z0-9.-]{0,63}", re.ASCII))
LIMIT_NAME = matching(re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII))
NAME = text(128)
SENTENCE = Sentence(1_024)
SEQUENCE = integer(0, model.SEQUENCE_LIMIT - 1)
TIME_US = integer(1 - model.TIME_LIMIT_US, model.TIME_LIMIT_US - 1)
DURATION_MS = integer(0, MAX_DURATION_MS)
FRAMERATE = Thousandths(1, MAX_SAID_FRAMERATE_MHZ)
LAG = Thousandths(0, 3_600_000)
SIZE = integer(1, 2**16 - 1)
TIMESCALE = integer(1, 2**32 - 1)
RANGES = Many(Interval(SEQUENCE), model.MAX_RANGES)


def _in_order(value: Any) -> Misfit | None:
    if value.first <= value.last:
        return None
    return Misfit(f"at least first ({value.first})", value.last, "last")


def _both_or_none(clock: messages.Clock) -> Misfit | None:
    if (clock.t1 is None) == (clock.t2 is None):
        return None
    return Misfit("there together with t1", clock.t2, "t2")


_SENTINEL = Field("sentinelId", "sentinel_id", SENTINEL_ID)
_SESSION = Field("sessionId", "session_id", SESSION_ID)
_SEQUENCE = Field("sequence", "sequence", SEQUENCE)
_FIRST = Field("first", "first", SEQUENCE)
_LAST = Field("last", "last", SEQUENCE)
_SOFTWARE = Field("software", "software", NAME)
_SERVER_TIME = Field("serverTime", "server_time_us", TIME_US)
_DATA = Field("data", "data", OCTETS)
_FRAMERATE = Field("framerate", "framerate_mhz", FRAMERATE)
_LATE = Field("late", "is_late", FLAG)

_TAIL = Record(messages.Tail, (_SESSION, _FIRST, _LAST), _in_order)
_WANTED = Record(messages.Wanted, (_SESSION, Field("missing", "missing", RANGES)))
_PLACE = Record(messages.Place, (_SESSION, _SEQUENCE))
_STATUS = Record(
    model.SentinelStatus,
    (
        _SENTINEL,
        Field("name", "name", NAME),
        Field("group", "group", NAME),
        Field("state", "state", Word(model.SentinelState)),
        Field("sessionId", "session_id", OrNull(SESSION_ID)),
        Field("framerate", "framerate_mhz", OrNull(FRAMERATE)),
        Field("lastSegmentTime", "last_segment_time_us", OrNull(TIME_US)),
        Field("recording", "recording", Word(model.RecordingState)),
    ),
)


@dataclass(frozen=True, slots=True)
class Said:
    """One message: the word in its `type`, and the rest of it.

    `mark` is the field that tells it from other messages of the same type; None if it is what
    they are without theirs.
    """

    word: str
    record: Record
    mark: str | None = None


def _said(
    word: str,
    made: type,
    *fields: Field,
    flaw: Callable[[Any], Misfit | None] | None = None,
    mark: str | None = None,
) -> Said:
    return Said(word, Record(made, fields) if flaw is None else Record(made, fields, flaw), mark)


#: Every message there is, in the order of the reference.
TABLE: tuple[Said, ...] = (
    _said(
        "sentinel.register",
        messages.SentinelRegister,
        _SENTINEL,
        Field("instanceId", "instance_id", PEER_ID),
        Field("name", "name", NAME),
        Field("group", "group", NAME),
        _SOFTWARE,
        _SESSION,
        Field("resume", "resume", Many(_TAIL, model.MAX_RANGES)),
    ),
    _said(
        "registered",
        messages.SentinelRegistered,
        _SERVER_TIME,
        Field("limits", "limits", Named(LIMIT_NAME, integer(0, model.EXACT_LIMIT - 1), 64)),
        Field("resume", "resume", Many(_WANTED, model.MAX_RANGES)),
    ),
    _said("init", model.InitSegment, _SENTINEL, _SESSION, _LATE, _DATA),
    _said(
        "segment",
        model.Segment,
        _SENTINEL,
        _SESSION,
        _SEQUENCE,
        Field("startTime", "start_time_us", TIME_US),
        Field("duration", "duration_ms", DURATION_MS),
        Field("keyframe", "is_keyframe", FLAG),
        _FRAMERATE,
        _LATE,
        _DATA,
    ),
    _said(
        "ack",
        messages.Ack,
        _SESSION,
        _SEQUENCE,
        Field("missing", "missing", RANGES),
        Field("load", "load", Ratio()),
    ),
    _said(
        "gap",
        messages.DeclareGap,
        _SESSION,
        _FIRST,
        _LAST,
        Field("cause", "cause", SENTENCE),
        flaw=_in_order,
    ),
    _said("backfill.done", messages.BackfillDone, _SESSION),
    _said(
        "clock",
        messages.Clock,
        Field("t0", "t0", TIME_US),
        Field("t1", "t1", OrNull(TIME_US)),
        Field("t2", "t2", OrNull(TIME_US)),
        flaw=_both_or_none,
    ),
    _said("keyframe.request", messages.KeyframeRequest, _SENTINEL),
    _said("fps.change", messages.FramerateChange, _SENTINEL, _FRAMERATE),
    _said("proctor.register", messages.ProctorRegister, _SOFTWARE),
    _said(
        "registered",
        messages.ProctorRegistered,
        Field("proctorId", "proctor_id", PEER_ID),
        _SERVER_TIME,
        Field("may", "may", Many(CODE, 64)),
        mark="proctorId",
    ),
    _said(
        "sentinels",
        messages.Sentinels,
        Field("full", "is_full", FLAG),
        Field("sentinels", "sentinels", Many(_STATUS, MAX_ROWS)),
    ),
    _said(
        "subscribe",
        messages.Subscribe,
        _SENTINEL,
        Field("startFrom", "start_from", Either(_PLACE, Word(messages.StartFrom))),
        Field("tier", "tier", Word(model.Tier)),
        Field("maxLag", "max_lag_ms", OrNull(LAG)),
    ),
    _said(
        "subscribed",
        messages.Subscribed,
        _SENTINEL,
        Field("sessionId", "session_id", OrNull(SESSION_ID)),
        Field("mime", "mime", OrNull(NAME)),
        Field("width", "width", OrNull(SIZE)),
        Field("height", "height", OrNull(SIZE)),
        Field("timescale", "timescale", OrNull(TIMESCALE)),
        Field("liveSequence", "live_sequence", OrNull(SEQUENCE)),
        Field("firstSequence", "first_sequence", OrNull(SEQUENCE)),
        Field("known", "is_known", FLAG),
    ),
    _said("init.request", messages.InitRequest, _SENTINEL),
    _said("focus", messages.Focus, Field("sentinelId", "sentinel_id", OrNull(SENTINEL_ID))),
    _said("unsubscribe", messages.Unsubscribe, _SENTINEL),
    _said(
        "skipped",
        messages.Skipped,
        _SENTINEL,
        _SESSION,
        _FIRST,
        _LAST,
        Field("reason", "reason", Word(model.SkipReason)),
        flaw=_in_order,
    ),
    _said(
        "session.ended",
        messages.SessionEnded,
        _SENTINEL,
        _SESSION,
        Field("reason", "reason", SENTENCE),
    ),
    _said(
        "error",
        messages.ErrorMessage,
        Field("code", "code", CODE),
        Field("message", "message", SENTENCE),
        Field("about", "about", OrNull(SENTENCE)),
    ),
)

_BY_CLASS: Mapping[type, Said] = {said.record.made: said for said in TABLE}
#: Those with a mark first: the one without is what remains.
_BY_WORD: Mapping[str, tuple[Said, ...]] = {
    word: tuple(sorted((said for said in TABLE if said.word == word), key=lambda s: s.mark is None))
    for word in dict.fromkeys(said.word for said in TABLE)
}
#: The types of messages that carry media.
MEDIA_WORDS = frozenset({"init", "segment"})


def to_plain(message: messages.Message) -> dict[str, Any]:
    """`message` as a dict, `type` first; `data` of media as octets.

    :raises Unsendable: if a value is out of its range.
    """
    said = _BY_CLASS[type(message)]
    try:
        return {"type": said.word, **said.record.dump(message)}
    except Misfit as misfit:
        raise Unsendable(f"{said.word}: {misfit}") from None


def from_plain(plain: object) -> messages.Message:
    """The message that `plain` stands for; `data` of media has to be octets already.

    :raises BadMessage: for anything else.
    """
    word = word_of(plain)
    for said in _BY_WORD[word]:
        if said.mark is None or said.mark in cast("dict[str, Any]", plain):
            break
    return load_said(said, plain)


def load_said(said: Said, plain: object) -> messages.Message:
    """The message that `plain` stands for, when its type is known already.

    :raises BadMessage: for anything else.
    """
    try:
        message: messages.Message = said.record.load(plain)
    except Misfit as misfit:
        raise BadMessage(f"{said.word}: {misfit}") from None
    return message


def word_of(plain: object) -> str:
    """The `type` of what may be a message.

    :raises BadMessage: if it has none that is known.
    """
    if not isinstance(plain, dict):
        raise BadMessage(f"a message must be a map, not {excerpt(plain)}")
    word = plain.get("type", ABSENT)
    if not isinstance(word, str) or word not in _BY_WORD:
        raise BadMessage(f"a message's type must be a known word, not {excerpt(word)}")
    return word
