"""Who may import whom, as a table, and the check of one module's source against it.

``tests.test_layering`` holds the tree to it; the reasons stand in ``docs/design/flow.md``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_BASE = frozenset({"model", "clips", "errors", "interfaces"})
_ROOMS = frozenset({"fmp4", "wire", "links", "relay", "store", "access", "disk"})
# What all formats have in common; a format itself is for the taps to choose.
_COMMON = frozenset({"wire.messages", "wire.framing"})
# How the server is found and spoken to, for whoever connects to it.
_REACHING = frozenset({"address", "backoff", "dialling"})
_DAEMONS = frozenset({"server", "server.tap", "sentinel", "sentinel.tap"})

# For every room, the other rooms it may import. A room that is not here may not exist.
# The daemons know the formats, the buffer and the store only through `interfaces`: which class
# stands behind one is said in their tap. Conversations pull from the relay; it knows none of them.
# Which plugins there are is looked up where things are put together.
ROOMS: Mapping[str, frozenset[str]] = {
    "model": frozenset(),
    "clips": frozenset(),
    "errors": frozenset({"model"}),
    "interfaces": frozenset({"model", "clips", "errors", "wire.messages"}),
    "fmp4": _BASE,
    "wire": _BASE,
    "links": _BASE | _COMMON | {"fmp4", "relay"},
    "relay": _BASE,
    "store": _BASE | {"fmp4", "disk"},
    "access": _BASE,
    # Server and Sentinel both keep media through power cuts, by the same careful calls.
    "disk": frozenset({"model"}),
    "address": frozenset({"errors"}),
    "backoff": frozenset(),
    "dialling": frozenset(),
    "options": frozenset({"errors"}),
    "plugins": frozenset({"errors", "interfaces"}),
    "daemon": frozenset(),
    "server": _BASE | _COMMON | {"options", "fmp4", "links", "access", "relay.hub", "relay.stream"},
    "sentinel": _BASE | _COMMON | _REACHING | {"options", "fmp4", "links", "disk"},
    # A client reads what a server writes, in every format; it knows nothing of what is behind.
    "client": _BASE | _REACHING | {"wire", "fmp4", "plugins"},
    "server.tap": _BASE | _ROOMS | {"server", "options", "plugins", "daemon"},
    "sentinel.tap": _BASE | _ROOMS | _REACHING | {"sentinel", "options", "plugins", "daemon"},
    "testing": _BASE | _ROOMS,
    "commands": _BASE
    | _ROOMS
    | _DAEMONS
    | _REACHING
    | {"client", "options", "plugins", "daemon", "testing"},
}

_SOCKETS = frozenset(
    {"socket", "socketserver", "ssl", "selectors", "asyncio", "http", "autobahn", "klein", "treq"}
)
_NETWORK = _SOCKETS | {"urllib.request", "twisted", "OpenSSL"}

# For every room, the packages from outside that it may not import, and what of them it may.
OUTSIDE: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "model": (_NETWORK | {"zope", "automat"}, frozenset()),
    "clips": (_NETWORK | {"zope", "automat"}, frozenset()),
    "errors": (_NETWORK | {"zope", "automat"}, frozenset()),
    "interfaces": (_NETWORK, frozenset({"twisted.internet.defer"})),
    "fmp4": (_NETWORK, frozenset()),
    "disk": (_NETWORK, frozenset()),
    "wire": (_NETWORK, frozenset()),
    "links": (_NETWORK, frozenset()),
    # A claim on an id is answered when the id's holder has been asked, so by a Deferred.
    "relay": (_NETWORK, frozenset({"twisted.internet.defer", "twisted.logger"})),
    "store": (
        _NETWORK,
        frozenset({"twisted.internet.defer", "twisted.internet.interfaces", "twisted.logger"})
        | {"twisted.python.failure", "twisted.python.threadpool", "twisted.internet.threads"},
    ),
}

# Pictures are made in the sentinel; everybody else passes bytes on.
_MAY_DECODE = frozenset({"sentinel", "sentinel.tap", "commands", "testing"})
# Everybody else is given a clock, an endpoint or a thread pool.
_MAY_NAME_THE_REACTOR = frozenset({"server.tap", "sentinel.tap", "commands"})


def room_of(module: str) -> str:
    """The room that `module`, such as ``vidlink.server.watch``, belongs to."""
    parts = module.split(".")[1:]
    dotted = ".".join(parts[:2])
    return dotted if dotted in ROOMS else ".".join(parts[:1])


def imports(module: str, source: str, is_package: bool = False) -> Iterator[str]:
    """Every name that `source` imports anywhere, absolute; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                around = module.split(".")
                around = around[: len(around) - node.level + is_package]
                origin = ".".join([*around, origin] if origin else around)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def wrong_arrows(module: str, source: str, is_package: bool = False) -> list[str]:
    """What `source`, the text of `module`, imports and may not; empty if all is well."""
    room = room_of(module)
    if room and room not in ROOMS:
        return [f"{module}: {room} is no room in tests/arrows.py"]
    return [
        f"{module} may not import {name}"
        for name in imports(module, source, is_package)
        if room and not _allowed(room, name)
    ]


def _within(name: str, names: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in names for length in range(1, len(parts) + 1))


def _allowed(room: str, name: str) -> bool:
    if name.split(".")[0] == "vidlink":
        return _allowed_inside(room, name)
    if _within(name, frozenset({"av"})):
        return room in _MAY_DECODE
    if _within(name, frozenset({"twisted.internet.reactor"})):
        return room in _MAY_NAME_THE_REACTOR
    forbidden, excepted = OUTSIDE.get(room, (frozenset(), frozenset()))
    return not _within(name, forbidden) or _within(name, excepted)


def _allowed_inside(room: str, name: str) -> bool:
    target = room_of(name)
    # A tap is the top of its own room, not a part that the room may lean on.
    if target in ("", room) or name == "vidlink.__version__":
        return True
    if target.endswith(".tap"):
        return target in ROOMS[room]
    return target in ROOMS[room] or _within(name.removeprefix("vidlink."), ROOMS[room])
