"""Tests of the tree itself: which way the imports point, and what is loaded with a daemon."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import vidlink
from tests.arrows import ROOMS, circles, imports, room_of, wrong_arrows

PACKAGE = Path(vidlink.__file__).parent
TESTS = Path(__file__).parent
#: A longer module says in its docstring, in a sentence with these words, why it is not two.
MOST_LINES, ONE_IDEA = 300, "one idea"
#: So many modules a reader can take in at a glance, in a folder.
MOST_MODULES = 25


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package, by its dotted name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def arrows() -> dict[str, frozenset[str]]:
    """For every module the modules that it imports, those for types alone included."""
    names = {name for name, _ in modules()}
    return {
        name: frozenset(
            imported if imported in names else imported.rpartition(".")[0]
            for imported in imports(name, path.read_text("utf-8"), path.name == "__init__.py")
            if imported in names or imported.rpartition(".")[0] in names
        )
        for name, path in modules()
    }


def modules_of(*rooms: str) -> list[str]:
    """The dotted names of all modules of `rooms`."""
    return [name for name, _ in modules() if room_of(name) in rooms]


def loaded_by(*names: str) -> set[str]:
    """The modules that a fresh interpreter holds once it has imported `names`."""
    script = f"import {', '.join(names)}, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(run.stdout.split())


class TreeTests(SynchronousTestCase):
    """The package as it stands."""

    def test_arrows(self) -> None:
        """No module imports what its room may not."""
        wrong = [
            arrow
            for name, path in modules()
            for arrow in wrong_arrows(name, path.read_text("utf-8"), path.name == "__init__.py")
        ]
        self.assertEqual(wrong, [])

    def test_no_dead_rooms(self) -> None:
        """Every room of the table is there, and so is everything that a room is allowed."""
        names = {name.removeprefix("vidlink.") for name, _ in modules()}
        self.assertEqual(set(ROOMS) - names, set())
        self.assertEqual(frozenset[str]().union(*ROOMS.values()) - names, set())

    def test_no_circles(self) -> None:
        """No module imports itself by way of others, not even for types; nor does a room."""
        between = arrows()
        self.assertEqual(circles(between), [])
        rooms: dict[str, set[str]] = {}
        for name, targets in between.items():
            room = room_of(name)
            rooms.setdefault(room, set()).update({room_of(one) for one in targets} - {room, ""})
        self.assertEqual(circles({room: frozenset(names) for room, names in rooms.items()}), [])

    def test_short_modules(self) -> None:
        """A module can be read in one sitting, or says why it is one all the same."""
        long = [
            name
            for name, path in modules()
            if len((source := path.read_text("utf-8")).splitlines()) > MOST_LINES
            and ONE_IDEA not in (ast.get_docstring(ast.parse(source)) or "")
        ]
        self.assertEqual(long, [])

    def test_small_folders(self) -> None:
        """A folder can be taken in at a glance."""
        paths = [path for _, path in modules()] + list(TESTS.rglob("*.py"))
        counts = Counter(path.parent for path in paths if path.name != "__init__.py")
        self.assertEqual([folder for folder, n in counts.items() if n > MOST_MODULES], [])

    def test_folders_are_introduced(self) -> None:
        """Each folder says what belongs there."""
        silent = [
            name
            for name, path in modules()
            if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
        ]
        self.assertEqual(silent, [])

    def test_sans_io(self) -> None:
        """Messages and boxes can be used where there is no Twisted at all."""
        loaded = loaded_by(*modules_of("model", "errors", "messages", "wire", "fmp4"))
        self.assertEqual({name for name in loaded if name.split(".")[0] == "twisted"}, set())

    def test_rooms_without_reactor(self) -> None:
        """No buffer, conversation or recording brings in a reactor, nor does what it leans on."""
        rooms = ("interfaces", "relay", "links", "store")
        loaded = loaded_by(
            *(n for n, _ in modules() if n.split(".")[1:2] and n.split(".")[1] in rooms)
        )
        self.assertNotIn("twisted.internet.reactor", loaded)

    def test_server_never_decodes(self) -> None:
        """A server runs where no FFmpeg is: nothing that it loads brings it in."""
        self.assertNotIn("av", loaded_by("vidlink.server.tap"))

    def test_sentinel_without_disk(self) -> None:
        """A Sentinel that keeps in memory runs where there are not the locks that a disk needs."""
        self.assertNotIn("vidlink.disk", loaded_by("vidlink.sentinel.tap"))

    def test_client_without_pictures(self) -> None:
        """A program that imports the client needs no FFmpeg, nor do the commands that use it."""
        commands = ("export", "ls", "watch")
        loaded = loaded_by("vidlink.client", *(f"vidlink.commands.{one}" for one in commands))
        self.assertNotIn("av", loaded)

    def test_reactor_is_chosen_late(self) -> None:
        """Only starting picks the reactor: ``twistd --reactor``, or a program, has its say."""
        loaded = loaded_by("vidlink.server.tap", "vidlink.sentinel.tap", "vidlink.client")
        self.assertNotIn("twisted.internet.reactor", loaded)

    def test_all_tests_are_found(self) -> None:
        """Every folder with tests is a package, or trial would pass it over in silence."""
        folders = {path.parent for path in TESTS.rglob("test_*.py")}
        lost = [folder for folder in folders if not (folder / "__init__.py").exists()]
        self.assertEqual(lost, [])


class CheckerTests(SynchronousTestCase):
    """The check itself, on arrows planted for it."""

    def assert_wrong(self, module: str, *sources: str) -> None:
        """Each of `sources` would be found out in `module`, and once."""
        for source in sources:
            self.assertEqual(len(wrong_arrows(module, source)), 1, (module, source))

    def assert_right(self, module: str, *sources: str) -> None:
        """None of `sources` is held against `module`."""
        for source in sources:
            self.assertEqual(wrong_arrows(module, source), [], (module, source))

    def test_upwards(self) -> None:
        """The lower rooms import nothing from above."""
        self.assert_wrong("vidlink.model", "import vidlink.errors", "from vidlink import errors")
        self.assert_wrong("vidlink.wire.binary", "from vidlink.server import watch")
        self.assert_wrong(
            "vidlink.relay.hub",
            "from vidlink.store import Writer",
            "from vidlink.links.watch.conversation import Watch",
            "from vidlink.messages import Ack",
        )
        self.assert_right("vidlink.links.watch.turns", "from vidlink.relay.cursor import Cursor")
        self.assert_right("vidlink.errors", "from vidlink.model import Session", "import enum")

    def test_daemons_see_roles(self) -> None:
        """Server and sentinel name interfaces and messages, not the classes behind them."""
        self.assert_wrong(
            "vidlink.server.sockets.watch",
            "from vidlink.relay.buffer import Buffer",
            "from vidlink.store import Store",
            "from vidlink.wire.binary import BinaryCodec",
            "from vidlink.wire import binary",
            "from vidlink.sentinel import spool",
        )
        self.assert_wrong("vidlink.sentinel.uplink", "from vidlink.server import transport")
        self.assert_right(
            "vidlink.server.sockets.watch",
            "from vidlink.messages import Ack",
            "from vidlink import messages",
            "from vidlink.wire.framing import negotiate",
            "from vidlink.links.watch.conversation import Watch",
            "from vidlink.relay.hub import Hub",
        )
        self.assert_right("vidlink.server.tap", "from vidlink.relay.buffer import Buffer")

    def test_taps_are_the_top(self) -> None:
        """Nothing of a daemon leans on its tap; commands may."""
        self.assert_wrong("vidlink.server.sockets.watch", "from vidlink.server.tap import Options")
        self.assert_right("vidlink.commands.demo", "from vidlink.server.tap import Options")

    def test_hidden_imports(self) -> None:
        """Relative, renamed and late imports are imports."""
        self.assert_wrong("vidlink.wire.binary", "from ..server import watch")
        self.assert_wrong("vidlink.wire.binary", "import vidlink.relay.hub as codec")
        self.assert_wrong("vidlink.wire.binary", "def late():\n    from .. import store")
        self.assertEqual(len(wrong_arrows("vidlink.wire", "from ..relay import hub", True)), 1)
        self.assertEqual(len(wrong_arrows("vidlink.wire", "from .relay import hub", True)), 0)

    def test_sans_io(self) -> None:
        """`wire` imports no Twisted, `links` Deferreds alone; `relay` and `store` no sockets."""
        for module in ("vidlink.wire.binary", "vidlink.links.ingest.conversation"):
            self.assert_wrong(
                module,
                "import twisted.logger",
                "from twisted.internet import reactor",
                "from twisted import logger",
                "import socket",
                "from autobahn.twisted import websocket",
            )
        deferred = "from twisted.internet.defer import Deferred"
        self.assert_wrong("vidlink.wire.binary", deferred)
        self.assert_right("vidlink.links.rate", deferred, "from automat import TypeMachineBuilder")
        self.assert_wrong(
            "vidlink.relay.hub",
            "from twisted.internet import task",
            "from twisted.internet import reactor",
            "from twisted.internet.protocol import Protocol",
            "from autobahn import websocket",
            "import socket",
        )
        self.assert_right("vidlink.relay.hub", "from twisted.logger import Logger")
        self.assert_right("vidlink.relay.hub", "from twisted.internet.defer import Deferred")
        self.assert_wrong(
            "vidlink.store.writing.writer",
            "import socket",
            "from twisted.internet import endpoints",
            "from twisted.web import server",
        )
        self.assert_right("vidlink.store.writing.writer", "import threading", "import sqlite3")
        self.assert_right(
            "vidlink.store.writing.writer", "from twisted.internet.defer import Deferred"
        )

    def test_pictures(self) -> None:
        """Only the sentinel's side opens pictures; a name that begins alike is another name."""
        self.assert_wrong("vidlink.server.api.history", "import av", "from av.video import frame")
        self.assert_wrong("vidlink.fmp4.write", "import av")
        self.assert_right("vidlink.server.api.history", "import average")
        self.assert_right("vidlink.sentinel.capture.encoder", "import av")

    def test_reactor(self) -> None:
        """Only taps and commands name the reactor."""
        named = "from twisted.internet import reactor"
        self.assert_wrong("vidlink.server.sockets.watch", named, "import twisted.internet.reactor")
        self.assert_wrong("vidlink.sentinel.uplink", named)
        self.assert_wrong("vidlink.store.writing.writer", named)
        self.assert_right("vidlink.server.tap", named)
        self.assert_right("vidlink.commands.demo", named)

    def test_rooms_within_rooms(self) -> None:
        """A folder of a room has rights of its own, and none because of where it lies."""
        self.assertEqual(room_of("vidlink.store.fsck.part"), "store.fsck")
        self.assertEqual(room_of("vidlink.store.store"), "store")
        self.assert_wrong(
            "vidlink.store.files.paths",
            "from vidlink.store.writing import writer",
            "from vidlink.store import store",
            "from twisted.internet import reactor",
        )
        self.assert_right("vidlink.store.film.reel", "from vidlink.store.files.paths import a")

    def test_circles(self) -> None:
        """A circle is found whatever its length, and what merely leads into it is not."""
        line = {"a": frozenset({"b"}), "b": frozenset({"c"})}
        self.assertEqual(circles(line), [])
        self.assertEqual(circles({**line, "b": frozenset({"a"})}), [["a", "b"]])
        self.assertEqual(circles({**line, "c": frozenset({"b"})}), [["b", "c"]])
        self.assertEqual(
            circles({**line, "c": frozenset({"a"}), "d": frozenset({"a", "d"})}),
            [["a", "b", "c"], ["d"]],
        )

    def test_unknown_room(self) -> None:
        """A new room has to say first whom it may import."""
        self.assert_wrong("vidlink.engine.core", "import enum")
