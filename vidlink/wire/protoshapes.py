"""The records of the table as the messages of ``vidlink.proto``, and back.

Which field is which goes by name: ``sentinel_id`` there is ``sentinelId`` here, the members of a
oneof ``start_from`` are the forms of ``startFrom``, and ``TIER_FULL`` is the word ``full``. So
there is nothing to write here when a message gets another field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vidlink.wire.kinds import Kind, Word
from vidlink.wire.shapes import Either, Field, Interval, Many, Named, OrNull, Record

#: A value there to the plain one here, or the other way.
Turn = Callable[[Any], Any]


class Shape:
    """One record of the table, and the message that stands for it.

    :param descriptor: the message's, of a protobuf runtime.
    :raises KeyError: if the table has a field that the message has not.
    """

    def __init__(self, record: Record, descriptor: Any) -> None:
        # What a message cannot tell from absent: null, and the empty list or map.
        self._blank: dict[str, Any] = {}
        # By the number there: the name here, and how to turn the value.
        self._loads: dict[int, tuple[str, Turn]] = {}
        self._dumps: dict[str, Turn] = {}
        for field in record.fields:
            self._join(field, descriptor)

    def load(self, message: Any) -> dict[str, Any]:
        """The plain form of `message`; what it does not have in common with us is left out."""
        plain = dict(self._blank)
        for known, value in message.ListFields():
            name, turn = self._loads[known.number]
            plain[name] = turn(value)
        return plain

    def dump(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a message, by the names there."""
        made: dict[str, Any] = {}
        for name, value in plain.items():
            if value is not None:
                made.update(self._dumps[name](value))
        return made

    def _join(self, field: Field, descriptor: Any) -> None:
        kind: Any = field.kind
        if isinstance(kind, OrNull):
            kind = kind.kind
            self._blank[field.name] = None
        elif isinstance(kind, (Many, Named)):
            self._blank[field.name] = {} if isinstance(kind, Named) else []
        if isinstance(kind, Either):
            self._join_either(field.name, kind, descriptor)
        else:
            there = descriptor.fields_by_camelcase_name[field.name]
            self._dumps[field.name] = self._join_one(field.name, kind, there)

    def _join_one(self, name: str, kind: Kind, there: Any) -> Turn:
        load, dump = _turns(kind, there)
        self._loads[there.number] = name, load
        return lambda plain: {there.name: dump(plain)}

    def _join_either(self, name: str, kind: Either, descriptor: Any) -> None:
        members = {
            member.message_type is not None: member
            for choice in descriptor.oneofs
            for member in choice.fields
            if _camel_case(choice.name) == name
        }
        record = self._join_one(name, kind.record, members[True])
        other = self._join_one(name, kind.other, members[False])
        self._dumps[name] = lambda plain: (record if isinstance(plain, dict) else other)(plain)


def words_of(enum: Any) -> dict[int, str]:
    """The words of an enum by their numbers, but for 0, which is what nobody has chosen."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {
        value.number: value.name.removeprefix(prefix).lower()
        for value in enum.values
        if value.number
    }


def _turns(kind: Kind, there: Any) -> tuple[Turn, Turn]:
    """The two ways of a value of the field `there`: to a plain one, and back."""
    if isinstance(kind, Word):
        words = words_of(there.enum_type)
        numbers = {word: number for number, word in words.items()}
        # An unknown number stays one, and is refused where a word belongs.
        return lambda number: words.get(number, number), numbers.__getitem__
    if isinstance(kind, Interval):
        return _interval, lambda plain: dict(zip(("first", "last"), plain, strict=True))
    if isinstance(kind, Record):
        shape = Shape(kind, there.message_type)
        return shape.load, shape.dump
    if isinstance(kind, Named):
        return dict, dict
    if isinstance(kind, Many):
        load, dump = _turns(kind.kind, there)
        return (
            lambda values: [load(value) for value in values],
            lambda plain: [dump(value) for value in plain],
        )
    return _same, _same


def _interval(message: Any) -> list[Any]:
    return [value for _, value in message.ListFields()]


def _same(value: Any) -> Any:
    return value


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
