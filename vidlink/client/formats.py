"""The formats a client reads: those of the plugins, with the bound of a viewer."""

from __future__ import annotations

from typing import Any

from vidlink.interfaces import ICodec
from vidlink.plugins import find_codecs
from vidlink.wire.bounds import MAX_MESSAGE_BYTES


def viewer_codecs() -> tuple[ICodec, ...]:
    """Every format there is, the server's favourite first.

    :raises ~vidlink.errors.UserMistake: if two plugins have the same name.
    """
    return tuple(_roomy(codec) for codec in find_codecs())


def _roomy(codec: ICodec) -> ICodec:
    """The same format for long lists, unless it has a bound of its own."""
    kind: Any = type(codec)
    # A format of somebody else's may not say.
    is_bound_by_us = getattr(codec, "max_control_bytes", None) is not None
    return kind(max_control_bytes=MAX_MESSAGE_BYTES) if is_bound_by_us else codec
