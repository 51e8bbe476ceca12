"""Tests of the tree itself: which way the imports point, and what is loaded with a daemon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import vidlink
from tests.arrows import room_of, wrong_arrows

PACKAGE = Path(vidlink.__file__).parent
TESTS = Path(__file__).parent
MOST_LINES = 350


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package, by its dotted name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


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

    def test_short_modules(self) -> None:
        """A module can be read in one sitting."""
        lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules()}
        self.assertEqual({name: n for name, n in lines.items() if n > MOST_LINES}, {})

    def test_sans_io(self) -> None:
        """Messages, boxes and conversations can be used where there is no Twisted at all."""
        loaded = loaded_by(*modules_of("model", "errors", "wire", "fmp4", "links"))
        self.assertEqual({name for name in loaded if name.split(".")[0] == "twisted"}, set())

    def test_rooms_without_reactor(self) -> None:
        """No buffer and no recording brings in a reactor, nor does what it leans on."""
        loaded = loaded_by(*modules_of("interfaces", "relay", "store"))
        self.assertNotIn("twisted.internet.reactor", loaded)

    def test_server_never_decodes(self) -> None:
        """A server runs where no FFmpeg is: nothing that it loads brings it in."""
        self.assertNotIn("av", loaded_by("vidlink.server.tap"))

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
            "from vidlink.links.watch import Watch",
            "from vidlink.wire.messages import Ack",
        )
        self.assert_right("vidlink.links.watch", "from vidlink.relay.cursor import Cursor")
        self.assert_right("vidlink.errors", "from vidlink.model import Session", "import enum")

    def test_daemons_see_roles(self) -> None:
        """Server and sentinel name interfaces and messages, not the classes behind them."""
        self.assert_wrong(
            "vidlink.server.watch",
            "from vidlink.relay.buffer import Buffer",
            "from vidlink.store import Store",
            "from vidlink.wire.binary import BinaryCodec",
            "from vidlink.wire import binary",
            "from vidlink.sentinel import spool",
        )
        self.assert_wrong("vidlink.sentinel.uplink", "from vidlink.server import transport")
        self.assert_right(
            "vidlink.server.watch",
            "from vidlink.wire.messages import Ack",
            "from vidlink.wire import messages",
            "from vidlink.links.watch import Watch",
            "from vidlink.relay.hub import Hub",
        )
        self.assert_right("vidlink.server.tap", "from vidlink.relay.buffer import Buffer")

    def test_taps_are_the_top(self) -> None:
        """Nothing of a daemon leans on its tap; commands may."""
        self.assert_wrong("vidlink.server.watch", "from vidlink.server.tap import Options")
        self.assert_right("vidlink.commands.demo", "from vidlink.server.tap import Options")

    def test_hidden_imports(self) -> None:
        """Relative, renamed and late imports are imports."""
        self.assert_wrong("vidlink.wire.binary", "from ..server import watch")
        self.assert_wrong("vidlink.wire.binary", "import vidlink.relay.hub as codec")
        self.assert_wrong("vidlink.wire.binary", "def late():\n    from .. import store")
        self.assertEqual(len(wrong_arrows("vidlink.wire", "from ..relay import hub", True)), 1)
        self.assertEqual(len(wrong_arrows("vidlink.wire", "from .relay import hub", True)), 0)

    def test_sans_io(self) -> None:
        """`wire` and `links` import no Twisted; `relay` and `store` no sockets and no reactor."""
        for module in ("vidlink.wire.binary", "vidlink.links.ingest"):
            self.assert_wrong(
                module,
                "import twisted.logger",
                "from twisted.internet import defer",
                "from twisted import logger",
                "import socket",
                "from autobahn.twisted import websocket",
            )
        self.assert_right("vidlink.links.ingest", "from automat import TypeMachineBuilder")
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
            "vidlink.store.writer",
            "import socket",
            "from twisted.internet import endpoints",
            "from twisted.web import server",
        )
        self.assert_right("vidlink.store.writer", "import threading", "import sqlite3")
        self.assert_right("vidlink.store.writer", "from twisted.internet.defer import Deferred")

    def test_pictures(self) -> None:
        """Only the sentinel's side opens pictures; a name that begins alike is another name."""
        self.assert_wrong("vidlink.server.history", "import av", "from av.video import frame")
        self.assert_wrong("vidlink.fmp4.write", "import av")
        self.assert_right("vidlink.server.history", "import average")
        self.assert_right("vidlink.sentinel.encoder", "import av")

    def test_reactor(self) -> None:
        """Only taps and commands name the reactor."""
        named = "from twisted.internet import reactor"
        self.assert_wrong("vidlink.server.watch", named, "import twisted.internet.reactor")
        self.assert_wrong("vidlink.sentinel.uplink", named)
        self.assert_wrong("vidlink.store.writer", named)
        self.assert_right("vidlink.server.tap", named)
        self.assert_right("vidlink.commands.demo", named)

    def test_unknown_room(self) -> None:
        """A new room has to say first whom it may import."""
        self.assert_wrong("vidlink.engine.core", "import enum")
