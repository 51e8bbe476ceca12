"""The formats of the wire protocol, which are found as Twisted plugins."""

from __future__ import annotations

from twisted.plugin import getPlugins

from vidlink.errors import UserMistake
from vidlink.interfaces import ICodec


def find_codecs() -> tuple[ICodec, ...]:
    """Every format there is, the server's favourite first.

    :raises UserMistake: if two plugins have the same name.
    """
    codecs: dict[str, ICodec] = {}
    for codec in getPlugins(ICodec):
        if codec.name in codecs:
            raise UserMistake(f"two codec plugins are called {codec.name}; remove one of them")
        codecs[codec.name] = codec
    return tuple(sorted(codecs.values(), key=lambda codec: codec.rank))
