"""The kinds of single values a message is made of: a check, and where needed a translation.

What is composed of them is in :mod:`vidlink.wire.shapes`, which field is of which kind in
:mod:`vidlink.wire.schema`. A plain value is what JSON, CBOR and the like have in common: dict,
list, str, int, float, bool, None and, for media, octets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

#: The most characters of a value that does not fit that are repeated in the error.
MAX_EXCERPT = 64

#: C0, DEL and C1; line and paragraph separator; what turns the direction of the text around it;
#: halves of surrogate pairs, which UTF-8 cannot carry.
UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Misfit(Exception):
    """A value does not fit its kind; `path` grows outwards while it is passed up."""

    def __init__(self, expected: str, value: object, path: str = "") -> None:
        super().__init__(expected, value, path)
        self.expected = expected
        self.value = value
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} must be {self.expected}, not {excerpt(self.value)}"

    def inside(self, outer: str) -> Misfit:
        """The same, seen from outside of the field or element `outer`."""
        gap = "." if self.path and not self.path.startswith("[") else ""
        return Misfit(self.expected, self.value, f"{outer}{gap}{self.path}")


class _Absent:
    def __repr__(self) -> str:
        return "absent"


#: Stands in a `Misfit` for a value that is not there.
ABSENT = _Absent()


def excerpt(value: object) -> str:
    """The part of a peer's value that a person is shown: printable, and short whatever was sent."""
    if isinstance(value, (dict, list, tuple)):
        return f"a {'map' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 1 << 128:
        return "a huge number"
    if isinstance(value, (str, bytes)):
        value = value[: MAX_EXCERPT + 1]
    elif isinstance(value, (bytearray, memoryview)):
        return f"{len(value)} octets"
    text = repr(value)
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 3] + "..."


class Kind(Protocol):
    """The values that may stand in one place of a message, in both directions.

    :raises Misfit: if a value is none of them.
    """

    def load(self, plain: Any) -> Any:
        """The value that `plain` stands for."""

    def dump(self, value: Any) -> Any:
        """The plain form of `value`."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A value whose plain form is itself."""

    expected: str
    fits: Callable[[Any], bool]

    def load(self, plain: Any) -> Any:
        """`plain`, checked."""
        if not self.fits(plain):
            raise Misfit(self.expected, plain)
        return plain

    dump = load


def integer(low: int, high: int) -> Exact:
    """A whole number, both bounds included; neither True nor 1.0 is one."""
    return Exact(
        f"an integer from {low} to {high}",
        lambda plain: type(plain) is int and low <= plain <= high,
    )


def matching(pattern: re.Pattern[str]) -> Exact:
    """A text that `pattern` describes wholly."""
    return Exact(
        f"a text like {pattern.pattern}",
        lambda plain: type(plain) is str and pattern.fullmatch(plain) is not None,
    )


def text(most: int) -> Exact:
    """A text of at most `most` characters, all of which can be shown."""
    return Exact(
        f"a text of at most {most} characters without control characters",
        lambda plain: (
            type(plain) is str and len(plain) <= most and UNSPEAKABLE.search(plain) is None
        ),
    )


#: True or false; neither 0 nor 1.
FLAG = Exact("true or false", lambda plain: type(plain) is bool)

#: Media, at least one octet.
OCTETS = Exact(
    "at least one octet of media",
    lambda plain: isinstance(plain, (bytes, memoryview)) and len(plain) > 0,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A `text` for people. Of ours, what does not fit is cut or replaced, and never an error."""

    most: int

    def load(self, plain: Any) -> Any:
        """`plain`, checked."""
        return text(self.most).load(plain)

    def dump(self, value: Any) -> Any:
        """`value`, made to fit."""
        return UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", value[: self.most])


@dataclass(frozen=True, slots=True)
class Thousandths:
    """A number with at most three decimals, which we keep as an int of thousandths."""

    low: int
    high: int

    def load(self, plain: Any) -> Any:
        """Thousandths of `plain`."""
        if type(plain) in (int, float) and self.low <= plain * 1000 <= self.high:
            thousandths = round(plain * 1000)
            # Both sides are the double nearest to one decimal fraction, or differ.
            if thousandths / 1000 == plain:
                return thousandths
        raise Misfit(self._expected(), plain)

    def dump(self, value: Any) -> Any:
        """`value` thousandths; whole numbers as int."""
        if type(value) is not int or not self.low <= value <= self.high:
            raise Misfit(f"{self._expected()}, in thousandths", value)
        return value / 1000 if value % 1000 else value // 1000

    def _expected(self) -> str:
        return (
            f"a number from {self.low / 1000:g} to {self.high / 1000:g} with at most three decimals"
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number from 0 to 1."""

    def load(self, plain: Any) -> Any:
        """`plain` as float."""
        if type(plain) not in (int, float) or not 0 <= plain <= 1:
            raise Misfit("a number from 0 to 1", plain)
        return float(plain)

    dump = load


@dataclass(frozen=True, slots=True)
class Word:
    """One of the values of an `Enum`."""

    words: type[Enum]

    def load(self, plain: Any) -> Any:
        """The member that `plain` names."""
        if type(plain) is str:
            for member in self.words:
                if member.value == plain:
                    return member
        raise Misfit(f"one of {', '.join(member.value for member in self.words)}", plain)

    def dump(self, value: Any) -> Any:
        """The name of `value`."""
        if not isinstance(value, self.words):
            raise Misfit(f"a {self.words.__name__}", value)
        return value.value
