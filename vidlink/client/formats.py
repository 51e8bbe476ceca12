"""The formats a client reads: those of the plugins, with the bound of a viewer."""

from __future__ import annotations

from vidlink.interfaces import ICodec
from vidlink.plugins import find_codecs
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.jsontext import JsonCodec

#: The list of a large server is longer than any message that a server takes.
MAX_CONTROL_BYTES = 16 * 1024 * 1024


def viewer_codecs() -> tuple[ICodec, ...]:
    """Every format there is, the server's favourite first.

    :raises UserMistake: two plugins have the same name.
    """
    roomy: dict[str, ICodec] = {
        kind.name: kind(max_control_bytes=MAX_CONTROL_BYTES) for kind in (BinaryCodec, JsonCodec)
    }
    return tuple(roomy.get(codec.name, codec) for codec in find_codecs())
