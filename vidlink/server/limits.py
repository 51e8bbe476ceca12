"""The option that turns the limits; which there are is in :mod:`vidlink.model.bounds`."""

from __future__ import annotations

from dataclasses import fields, replace

from vidlink.errors import UserMistake
from vidlink.model import Bounds
from vidlink.options import number

#: Every limit by the name that ``--limit`` has for it, such as ``header-seconds``.
LIMITS = {one.name.replace("_", "-"): one for one in fields(Bounds)}


def with_limit(bounds: Bounds, text: str) -> Bounds:
    """`bounds` with the one turned that `text` says, such as ``guesses-per-place=600``.

    :raises UserMistake: if it says none, or a number that is not sensible.
    """
    name, _, value = text.partition("=")
    one = LIMITS.get(name)
    if one is None:
        raise UserMistake(
            "--limit takes a name, an equals sign and a number, such as guesses-per-place=600, not "
            f"{text!r}; the names are {', '.join(LIMITS)}"
        )
    kind = type(one.default)
    turned = number(f"--limit {name}", value, kind, *one.metadata["range"])
    return replace(bounds, **{one.name: turned})
