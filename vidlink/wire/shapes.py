"""The kinds of values that are composed: lists, maps, and the maps that are dataclasses.

Single values are in :mod:`vidlink.wire.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from dataclasses import field as dataclass_field
from typing import Any

from vidlink.wire.kinds import ABSENT, Kind, Misfit


@dataclass(frozen=True, slots=True)
class OrNull:
    """A value, or none."""

    kind: Kind

    def load(self, plain: Any) -> Any:
        """The value, or None."""
        return None if plain is None else self.kind.load(plain)

    def dump(self, value: Any) -> Any:
        """The plain value, or None."""
        return None if value is None else self.kind.dump(value)


@dataclass(frozen=True, slots=True)
class Many:
    """A list of up to `most` values of one kind; we keep it as a tuple."""

    kind: Kind
    most: int

    def load(self, plain: Any) -> Any:
        """The values as a tuple."""
        return tuple(self._each(plain, list, self.kind.load))

    def dump(self, value: Any) -> Any:
        """The values as a list."""
        return self._each(value, tuple, self.kind.dump)

    def _each(self, values: Any, of: type[Any], turn: Callable[[Any], Any]) -> list[Any]:
        if not isinstance(values, of) or len(values) > self.most:
            raise Misfit(f"a list of at most {self.most}", values)
        turned = []
        for index, value in enumerate(values):
            try:
                turned.append(turn(value))
            except Misfit as misfit:
                raise misfit.inside(f"[{index}]") from None
        return turned


@dataclass(frozen=True, slots=True)
class Interval:
    """``[first, last]``, both included."""

    kind: Kind

    def load(self, plain: Any) -> Any:
        """A pair."""
        if not isinstance(plain, list) or len(plain) != 2:
            raise Misfit("a list of first and last", plain)
        first, last = self.kind.load(plain[0]), self.kind.load(plain[1])
        if first > last:
            raise Misfit("first and last in this order", f"{first}, {last}")
        return first, last

    def dump(self, value: Any) -> Any:
        """A list of two."""
        first, last = self.load(list(value))
        return [first, last]


@dataclass(frozen=True, slots=True)
class Named:
    """Values of one kind by names that are not known beforehand."""

    name: Kind
    kind: Kind
    most: int

    def load(self, plain: Any) -> Any:
        """A dict, checked."""
        if not isinstance(plain, Mapping) or len(plain) > self.most:
            raise Misfit(f"a map of at most {self.most}", plain)
        return {self.name.load(name): self.kind.load(value) for name, value in plain.items()}

    dump = load


@dataclass(frozen=True, slots=True)
class Either:
    """A map of one kind, or else a value of another."""

    record: Record
    other: Kind

    def load(self, plain: Any) -> Any:
        """The value that `plain` stands for."""
        return (self.record if isinstance(plain, dict) else self.other).load(plain)

    def dump(self, value: Any) -> Any:
        """The plain form of `value`."""
        return (self.record if isinstance(value, self.record.made) else self.other).dump(value)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: its name on the wire, our attribute, and what it may hold."""

    name: str
    attribute: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Record:
    """A map with known names, and the dataclass that it stands for.

    A field is optional if its attribute has a default in the dataclass; it is left out when it
    has that. Names that are not known are ignored. `flaw` finds what is wrong between fields.
    """

    made: type
    fields: tuple[Field, ...]
    flaw: Callable[[Any], Misfit | None] = lambda value: None
    defaults: Mapping[str, Any] = dataclass_field(init=False, repr=False)

    def __post_init__(self) -> None:
        defaults = {}
        for known in fields(self.made):
            if known.default is not MISSING:
                defaults[known.name] = known.default
            elif known.default_factory is not MISSING:
                defaults[known.name] = known.default_factory()
        object.__setattr__(self, "defaults", defaults)

    def load(self, plain: Any) -> Any:
        """The dataclass that `plain` stands for."""
        if not isinstance(plain, dict):
            raise Misfit("a map", plain)
        values = {}
        for known in self.fields:
            try:
                if known.name in plain:
                    values[known.attribute] = known.kind.load(plain[known.name])
                elif known.attribute not in self.defaults:
                    raise Misfit("there", ABSENT)
            except Misfit as misfit:
                raise misfit.inside(known.name) from None
        return self._whole(self.made(**values))

    def dump(self, value: Any) -> Any:
        """The plain form of `value`."""
        self._whole(value)
        plain = {}
        for known in self.fields:
            held = getattr(value, known.attribute)
            if known.attribute in self.defaults and held == self.defaults[known.attribute]:
                continue
            try:
                plain[known.name] = known.kind.dump(held)
            except Misfit as misfit:
                raise misfit.inside(known.name) from None
        return plain

    def _whole(self, value: Any) -> Any:
        misfit = self.flaw(value)
        if misfit is not None:
            raise misfit
        return value
