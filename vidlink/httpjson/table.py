"""Tables of fields: an object of JSON, and the value of ours that it stands for.

Which tables there are is in :mod:`vidlink.httpjson.objects`, what a field may hold in
:mod:`vidlink.httpjson.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from vidlink.httpjson.kinds import Json, JsonKind, ref
from vidlink.wire.kinds import ABSENT, Misfit

T = TypeVar("T")


class JsonField(NamedTuple):
    """One field: its name in JSON, our attribute, what it may hold, and what it means.

    An `attribute` such as ``session.mime`` is one of a value within ours, which may be None.
    """

    name: str
    attribute: str
    kind: JsonKind
    told: str = ""


class Table(Generic[T]):
    """An object that has all fields of `rows`; names that are not known are ignored.

    :param name: of its schema; empty: it is described where it stands.
    :param told: its description.
    :param made: makes our value of its attributes.
    :param rows: each the values of one :class:`JsonField`.
    :param inner: make the values within ours, by the attributes that they are.
    """

    def __init__(
        self,
        name: str,
        told: str,
        made: Callable[..., T],
        *rows: tuple[str, str, JsonKind] | tuple[str, str, JsonKind, str],
        **inner: Callable[..., Any],
    ) -> None:
        self.name = name
        self._told = told
        self._made = made
        self._inner = inner
        self._fields = tuple(JsonField(*row) for row in rows)
        #: Our value as an object of JSON.
        self.dump: Callable[[T], Json] = _compiled(self._fields)
        #: The object as a value within others; its schema is referred to if it has a name.
        self.kind = JsonKind(ref(name) if name else self.record, self.load, self.dump)

    @property
    def record(self) -> Json:
        """The schema of the object, in full."""
        properties = {}
        for field in self._fields:
            told = {"description": field.told} if field.told else {}
            properties[field.name] = field.kind.schema | told
        return record(properties, self._told)

    def load(self, plain: Any) -> T:
        """The value that the JSON `plain` stands for.

        :raises Misfit: if a field is not there, or is not what it should be.
        """
        if not isinstance(plain, Mapping):
            raise Misfit("a map", plain)
        found: dict[str, dict[str, Any]] = {name: {} for name in ("", *self._inner)}
        for field in self._fields:
            owner, _, attribute = field.attribute.rpartition(".")
            try:
                found[owner][attribute] = field.kind.load(plain.get(field.name, ABSENT))
            except Misfit as misfit:
                raise misfit.inside(field.name) from None
        within = {name: make(**found[name]) for name, make in self._inner.items()}
        return self._made(**found[""], **within)


def record(properties: Json, told: str) -> Json:
    """The schema of an object that has all `properties`; there may be more of them one day."""
    return {
        "type": "object",
        "description": told,
        "required": list(properties),
        "properties": properties,
    }


def _compiled(fields: Iterable[JsonField]) -> Callable[[Any], Json]:
    """A function that writes `fields` of a value as one display of a dict.

    A page has thousands of rows: to walk through the table for each takes twice as long. The text
    is made of the tables of this package alone, as that of a named tuple is of its fields.
    """
    dumps, entries = {}, []
    for place, field in enumerate(fields):
        owner = field.attribute.rpartition(".")[0]
        text = f"value.{field.attribute}"
        if field.kind.dump is not None:
            dumps[f"dump_{place}"] = field.kind.dump
            text = f"dump_{place}({text})"
        if owner:
            text = f"None if value.{owner} is None else {text}"
        entries.append(f"{field.name!r}: {text}")
    written: Callable[[Any], Json] = eval(f"lambda value: {{{', '.join(entries)}}}", dumps)
    return written
