"""The kinds of single values in the JSON of HTTP, each with its JSON Schema (draft 2020-12).

What is composed of them is in :mod:`vidlink.httpjson.table`. Names and units are those of the
wire: times in microseconds since the epoch (UTC), durations in milliseconds, frame rates in frames
a second, sizes in octets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import ceil
from operator import attrgetter
from typing import Any

from vidlink.wire import kinds, schema
from vidlink.wire.kinds import ABSENT, Exact, Misfit, Thousandths, Word, integer

Json = dict[str, Any]
#: So many entries one list may have that is read; the server gives 5,000 at most.
MAX_ENTRIES = 100_000
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class JsonKind:
    """One kind of value: its JSON Schema or a reference to it, and both ways to and from JSON.

    A value that is none of the kind is a :exc:`~vidlink.wire.kinds.Misfit` to `load`; with a `dump`
    of None our value is written as it is.
    """

    schema: Json
    load: Callable[[Any], Any]
    dump: Callable[[Any], Any] | None = None


def ref(name: str) -> Json:
    """The schema with that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(kind: JsonKind) -> JsonKind:
    """A value of `kind`, or none."""
    dump = kind.dump
    return JsonKind(
        {"anyOf": [kind.schema, {"type": "null"}]},
        lambda plain: None if plain is None else kind.load(plain),
        dump and (lambda value: None if value is None else dump(value)),
    )


def or_absent(kind: JsonKind) -> JsonKind:
    """A value of `kind`, which may be null; servers of earlier versions do not send it."""
    return JsonKind(
        kind.schema, lambda plain: None if plain is ABSENT else kind.load(plain), kind.dump
    )


def many(kind: JsonKind) -> JsonKind:
    """A list of values of `kind`; we keep it as a tuple."""

    def load(plain: Any) -> tuple[Any, ...]:
        if not isinstance(plain, list) or len(plain) > MAX_ENTRIES:
            raise Misfit("a list", plain)
        return tuple([kind.load(one) for one in plain])

    def dump(values: Iterable[Any]) -> list[Any]:
        each = kind.dump
        return list(values) if each is None else [each(one) for one in values]

    return JsonKind({"type": "array", "items": kind.schema}, load, dump)


def absent_as(value: Any, kind: JsonKind) -> JsonKind:
    """A value of `kind` that older servers do not give: then it is `value`."""
    return JsonKind(
        kind.schema, lambda plain: value if plain is ABSENT else kind.load(plain), kind.dump
    )


def words(enum: type[Enum]) -> JsonKind:
    """One of the words of `enum`."""
    each = [one.value for one in enum]
    return JsonKind({"type": "string", "enum": each}, Word(enum).load, attrgetter("value"))


def framerate(framerate_mhz: int) -> float:
    """Frames a second; an integer without a fraction, as on the wire."""
    return framerate_mhz // 1000 if framerate_mhz % 1000 == 0 else framerate_mhz / 1000


TEXT = JsonKind({"type": "string"}, Exact("a text", lambda plain: type(plain) is str).load)
FLAG = JsonKind({"type": "boolean"}, kinds.FLAG.load)
COUNT = JsonKind({"type": "integer", "minimum": 0}, integer(0, 2**63).load)
TIMESCALE = JsonKind({"type": "integer", "minimum": 1}, COUNT.load)
DURATION_MS = JsonKind(COUNT.schema, schema.DURATION_MS.load)
#: Whole seconds; we keep them as microseconds.
SECONDS = JsonKind(
    COUNT.schema,
    lambda plain: COUNT.load(plain) * _SECOND_US,
    lambda time_us: time_us // _SECOND_US,
)
#: Seconds that are left, rounded up; we keep them as they are.
LEFT = JsonKind(COUNT.schema, COUNT.load, ceil)
TIME_US = JsonKind(ref("Time"), schema.TIME_US.load)
TIME_OR_NULL = or_null(TIME_US)
SEQUENCE = JsonKind(ref("Sequence"), schema.SEQUENCE.load)
SEQUENCE_OR_NULL = or_null(SEQUENCE)
SENTINEL_ID = JsonKind(ref("SentinelId"), schema.SENTINEL_ID.load)
SESSION_ID = JsonKind(ref("SessionId"), schema.SESSION_ID.load)
RECEIPT_NUMBER = JsonKind(ref("ReceiptNumber"), COUNT.load)
SHA256 = JsonKind({"type": "string", "pattern": "^[0-9a-f]{64}$"}, TEXT.load)
#: Frames a second; we keep them as mHz.
FRAMERATE = JsonKind(ref("Framerate"), Thousandths(1, 1_000_000).load, framerate)
