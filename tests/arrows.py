"""Who may import whom, as a table, and the check of one module's source against it.

``tests.test_layering`` holds the tree to it; the reasons stand in ``docs/design/flow.md``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_BASE = frozenset({"model", "errors", "interfaces"})
_PUT_TOGETHER = frozenset({"options", "plugins", "daemon", "quantities"})
_LINKS = frozenset({"links", "links.ingest", "links.uplink", "links.watch"})
# Writing, deleting, reading and starting stand on these three and hand over through the fourth.
_GROUNDS = frozenset({"store.files", "store.sequences", "store.handover", "store.index", "disk"})
_STORE = _GROUNDS | {
    "store.starting",
    "store.queue",
    "store.writing",
    "store.deleting",
    "store.reading",
    "store.film",
}
_SERVER = frozenset(
    {"server", "server.port", "server.api", "server.api.openapi", "server.sockets", "server.health"}
)
_SENTINEL = frozenset(
    {"sentinel", "sentinel.sources", "sentinel.capture", "sentinel.spool", "links.uplink"}
)

# For every room, the other rooms it may import; one module of a room is named as `relay.hub`. A
# room is a folder, or a module right below the package. What is not here may not exist, and what
# is here has to.
# The daemons know the formats, the buffer and the store only through `interfaces`: which class
# stands behind one is said in their tap. Conversations pull from the relay; it knows none of them.
# Which plugins there are is looked up where things are put together.
ROOMS: Mapping[str, frozenset[str]] = {
    "model": frozenset(),
    "errors": frozenset({"model"}),
    "messages": frozenset({"model"}),
    "interfaces": frozenset({"model", "errors", "messages"}),
    "bucket": frozenset(),
    "quantities": frozenset({"model"}),
    "timer": frozenset(),
    # Either end of a connection sees in the same way whether the other one is there.
    "liveness": frozenset({"model"}),
    "daemon": frozenset(),
    "options": frozenset({"errors", "quantities"}),
    "plugins": frozenset({"errors", "interfaces"}),
    # Server and Sentinel both keep media through power cuts, by the same careful calls.
    "disk": frozenset({"model"}),
    # What lets somebody in is kept in the data folder, by commands too.
    "access": frozenset({"model", "errors", "disk", "bucket"}),
    "audit": frozenset({"model", "errors", "disk", "bucket"}),
    "dialling": frozenset(
        {"errors", "interfaces", "messages", "quantities", "timer"} | {"wire.bounds", "wire.kinds"}
    ),
    "fmp4": _BASE,
    "wire": _BASE | {"messages"},
    # The objects that a server answers with, for whoever writes, reads or describes them.
    "httpjson": frozenset({"model", "wire.kinds", "wire.schema"}),
    "relay": _BASE | {"bucket", "quantities"},
    "links": frozenset({"model", "errors", "bucket"}),
    "links.ingest": _BASE | {"messages", "bucket", "fmp4", "wire.bounds", "links", "relay"},
    "links.uplink": _BASE | {"messages", "bucket", "timer", "fmp4", "wire.bounds"},
    # What all formats have in common; a format itself is for the taps to choose.
    "links.watch": _BASE | {"messages", "links", "relay", "wire.framing"},
    "store": _BASE | _STORE | {"quantities"},
    "store.files": _BASE | {"fmp4", "disk"},
    "store.sequences": _BASE,
    "store.handover": _BASE | {"store.sequences"},
    "store.index": _BASE | _GROUNDS,
    "store.starting": _BASE | _GROUNDS,
    "store.queue": _BASE | {"store.handover", "store.sequences"},
    "store.writing": _BASE | _GROUNDS,
    "store.deleting": _BASE | _GROUNDS | {"store.queue", "quantities"},
    "store.film": _BASE | {"store.files", "store.sequences", "store.handover", "fmp4", "disk"},
    "store.reading": _BASE | _GROUNDS | {"store.queue", "store.film", "quantities"},
    "store.fsck": _BASE | _GROUNDS | {"store.starting", "fmp4"},
    "server": frozenset({"model", "errors", "options", "disk"})
    | {"access", "audit", "relay.hub", "server.sockets", "server.health"},
    "server.port": frozenset(
        {"model", "errors", "interfaces", "timer", "access"}
        | {"server.api.answers", "server.api.refusals"}
    ),
    "server.api": _BASE | {"httpjson", "relay.hub", "server.health", "access", "audit"},
    "server.api.openapi": frozenset(
        {"model", "errors", "access", "httpjson", "server.api", "server.health"}
    ),
    "server.sockets": _BASE
    | {"messages", "timer", "liveness", "bucket", "access", "audit", "wire.bounds", "wire.framing"}
    | {"links.ingest", "links.watch", "relay.hub"}
    | {"server.port.door", "server.port.held", "server.port.lobby", "server.port.shares"},
    "server.health": _BASE | {"relay.hub", "quantities"},
    "server.tap": _BASE | _PUT_TOGETHER | _SERVER | {"relay", "store", "disk", "access", "audit"},
    "sentinel": _BASE
    | {"messages", "dialling", "links.uplink", "quantities", "timer", "liveness"}
    | {"sentinel.capture", "sentinel.sources", "sentinel.spool"},
    "sentinel.sources": frozenset({"errors", "sentinel.capture"}),
    "sentinel.capture": _BASE | {"fmp4"},
    "sentinel.spool": _BASE | {"fmp4", "disk"},
    # What a server gives a machine to get in with is asked for as any other client asks.
    "sentinel.tap": _BASE
    | _PUT_TOGETHER
    | _SENTINEL
    | {"messages", "dialling", "client", "httpjson"},
    # A client reads what a server writes, in every format; it knows nothing of what is behind.
    "client": _BASE
    | {"messages", "wire", "httpjson", "fmp4", "dialling", "timer", "disk", "plugins"},
    "terminal": _BASE | {"options", "daemon", "quantities", "client", "dialling", "wire", "disk"},
    # A load that is made up speaks as a Sentinel and as a client do, with media of a Sentinel's.
    "loadtest": _BASE
    | {"messages", "quantities", "wire", "httpjson", "fmp4", "client", "dialling", "disk"}
    | {"sentinel.capture", "sentinel.sources", "terminal.leash", "terminal.progress", "daemon"},
    "commands": _BASE
    | _PUT_TOGETHER
    | {
        "messages",
        "quantities",
        "wire",
        "httpjson",
        "client",
        "dialling",
        "terminal",
        "access",
        "audit",
        "server.port",
        "server.service",
        "loadtest",
        "disk",
        "store.fsck",
        "server.tap",
        "sentinel.tap",
    },
}

_SOCKETS = frozenset(
    {"socket", "socketserver", "ssl", "selectors", "asyncio", "http", "autobahn", "klein", "treq"}
)
_NETWORK = _SOCKETS | {"urllib.request", "twisted", "OpenSSL"}
_VALUES = (_NETWORK | {"zope", "automat"}, frozenset[str]())

# For every room and those within it, the packages from outside that it may not import, and what
# of them it may.
OUTSIDE: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "model": _VALUES,
    "errors": _VALUES,
    "messages": _VALUES,
    "bucket": _VALUES,
    "interfaces": (_NETWORK, frozenset({"twisted.internet.defer"})),
    "fmp4": (_NETWORK, frozenset()),
    "disk": (_NETWORK, frozenset()),
    "wire": (_NETWORK, frozenset()),
    # A conversation waits for the store and the relay by their Deferreds, and for a clock.
    "links": (
        _NETWORK,
        frozenset({"twisted.internet.defer", "twisted.internet.interfaces"})
        | {"twisted.python.failure"},
    ),
    # A claim on an id is answered when the id's holder has been asked, so by a Deferred.
    "relay": (_NETWORK, frozenset({"twisted.internet.defer", "twisted.logger"})),
    "store": (
        _NETWORK,
        frozenset({"twisted.internet.defer", "twisted.internet.interfaces", "twisted.logger"})
        | {"twisted.python.failure", "twisted.python.threadpool", "twisted.internet.threads"},
    ),
}

# Pictures are made in the sentinel, and for a load test; everybody else passes bytes on.
_MAY_DECODE = frozenset({"sentinel", "commands", "loadtest"})
# Everybody else is given a clock, an endpoint or a thread pool.
_MAY_NAME_THE_REACTOR = frozenset({"server.tap", "sentinel.tap", "commands", "terminal"})


def room_of(module: str) -> str:
    """The room that `module`, such as ``vidlink.server.sockets.watch``, belongs to."""
    path = module.removeprefix("vidlink").removeprefix(".")
    return next((name for name in _upwards(path) if name in ROOMS), path.split(".")[0])


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


def circles(arrows: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """The names that lead back to themselves along `arrows`, sorted, those of a circle together.

    By Tarjan's strongly connected components; a name without an entry leads nowhere.
    """
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for target in sorted(arrows.get(name, ())):
            if target not in numbers:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == numbers[name]:
            start = stack.index(name)
            circle = sorted(stack[start:])
            del stack[start:]
            if len(circle) > 1 or name in arrows.get(name, ()):
                found.append(circle)

    for name in sorted(arrows):
        if name not in numbers:
            visit(name)
    return sorted(found)


def _upwards(path: str) -> Iterator[str]:
    """`path` itself, then what it lies in, up to its first part."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _within(name: str, names: frozenset[str]) -> bool:
    return any(one in names for one in _upwards(name))


def _allowed(room: str, name: str) -> bool:
    if name.split(".")[0] == "vidlink":
        return _allowed_inside(room, name)
    if _within(name, frozenset({"av"})):
        return _within(room, _MAY_DECODE)
    if _within(name, frozenset({"twisted.internet.reactor"})):
        return room in _MAY_NAME_THE_REACTOR
    bounded = next((one for one in _upwards(room) if one in OUTSIDE), None)
    if bounded is None:
        return True
    forbidden, excepted = OUTSIDE[bounded]
    return not _within(name, forbidden) or _within(name, excepted)


def _allowed_inside(room: str, name: str) -> bool:
    target = room_of(name)
    if target in ("", room) or name == "vidlink.__version__":
        return True
    return target in ROOMS[room] or any(
        room_of(f"vidlink.{one}") == target and _within(name, frozenset({f"vidlink.{one}"}))
        for one in ROOMS[room]
    )
