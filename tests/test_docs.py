"""Tests of the documentation: its options are those of the commands, and its paths are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase

import vidlink
from benchmarks.relay.picture import picture
from benchmarks.relay.report import BEGIN, END, PICTURE
from benchmarks.relay.report import PAGE as PERFORMANCE
from benchmarks.relay.report import told as as_tables
from benchmarks.relay.results import Results
from tests.rigs.documented import PAGES
from vidlink.commands import Options as CommandOptions
from vidlink.sentinel.tap import Options as SentinelOptions
from vidlink.server.tap import Options as ServerOptions

ROOT = Path(__file__).parent.parent
#: The folder that the package lies in: the tree, or where it is installed.
AROUND = Path(vidlink.__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "options.md"
ROW = re.compile(r"\| `--([a-z-]+)( [^`]+)?` \| (?:`([^`]*)`)? *\| ")

#: A file or folder of the tree.
PATH = re.compile(r"(?<![\w/])(?:tests|vidlink|benchmarks)/[a-z_][\w/]*(?:\.\w+)?")
#: A row of a table that begins with such a path, which the modules in it stand beside.
ROW_OF_PATH = re.compile(r"^\| `(vidlink/[\w/]*)[\w.]*`.*", re.MULTILINE)
MODULE = re.compile(r"`(\w+\.py)`")

#: A command in a sentence, and what follows it; and the name of a benchmark.
SPOKEN = re.compile(r"`(vidlink [a-z]+|twistd vidlink-[a-z]+)( [^`]*)?`")
OPTION = re.compile(r"--[a-z][a-z-]*")
BENCHMARK = re.compile(r"python -m benchmarks\.(\w+)")

# What every command of Twisted's understands, said once at the top of the page.
EVERYWHERE = {"help", "version"}


def told(command: str) -> dict[str, tuple[bool, str | None]]:
    """The options in the table of `command`: whether each takes a value, and its default."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"\n## `{command}`\n")
    table, _, _ = rest.partition("\n## ")
    return {name: (bool(value), default or None) for name, value, default in ROW.findall(table)}


def understood(options: Options) -> set[tuple[str, bool]]:
    """The options that `options` parses, and whether each takes a value."""
    names = {(name.rstrip("="), name.endswith("=")) for name in options.longOpt}
    return {(name, value) for name, value in names if name not in EVERYWHERE}


def place(path: str) -> Path:
    """The place of what is called `path` in the tree."""
    return (AROUND if path.startswith("vidlink/") else ROOT) / path


class OptionsPageTests(SynchronousTestCase):
    """Every option stands on the page, and what stands there is an option."""

    def compare(self, command: str, options: Options) -> None:
        """The page says of `command` what `options` does."""
        page = told(command)
        self.assertEqual({(n, v) for n, (v, _) in page.items()}, understood(options))
        for name, default in options.defaults.items():
            if name in page and page[name][0]:
                self.assertEqual(page[name][1], default or None, name)

    def test_commands(self) -> None:
        """Of every command that ``vidlink`` has."""
        commands: list[Any] = CommandOptions.subCommands
        self.assertTrue(commands)
        for name, _, options, _ in commands:
            self.compare(f"vidlink {name}", options())

    def test_server(self) -> None:
        """Of ``twistd vidlink-server``."""
        self.compare("twistd vidlink-server", ServerOptions())

    def test_sentinel(self) -> None:
        """Of ``twistd vidlink-sentinel``."""
        self.compare("twistd vidlink-sentinel", SentinelOptions())


class SpokenTests(SynchronousTestCase):
    """Commands that are named within a sentence."""

    def test_are_there(self) -> None:
        """Each is one, and takes the options that it is named with."""
        subcommands: list[Any] = CommandOptions.subCommands
        options = {f"vidlink {name}": taken() for name, _, taken, _ in subcommands}
        options["twistd vidlink-server"] = ServerOptions()
        options["twistd vidlink-sentinel"] = SentinelOptions()
        spoken = [found for page in PAGES for found in SPOKEN.findall(page.read_text("utf-8"))]
        self.assertGreater(len(spoken), 30)
        for command, rest in spoken:
            self.assertIn(command, options)
            known = {f"--{name}" for name, _ in understood(options[command])}
            self.assertEqual(set(OPTION.findall(rest)) - known, set(), (command, rest))

    def test_benchmarks(self) -> None:
        """Each benchmark that is named is there."""
        named = [name for page in PAGES for name in BENCHMARK.findall(page.read_text("utf-8"))]
        self.assertGreater(len(named), 2)
        there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
        there |= {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
        self.assertEqual(set(named) - there, set())


class PerformanceTests(SynchronousTestCase):
    """The page and the picture of what was measured."""

    def test_are_of_the_results(self) -> None:
        """Both show the results that are kept, and those as they are."""
        results = Results.read()
        self.assertIn(f"{BEGIN}\n{as_tables(results)}\n{END}", PERFORMANCE.read_text("utf-8"))
        self.assertEqual(PICTURE.read_text("utf-8"), picture(results))


class PathsTests(SynchronousTestCase):
    """The modules and tests that a page names."""

    def test_are_there(self) -> None:
        """Whatever a page names is a file or a folder of the tree."""
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
        named = {(page, path) for page in pages for path in PATH.findall(page.read_text("utf-8"))}
        self.assertGreater(len(named), 50)
        lost = [(page.name, path) for page, path in named if not place(path).exists()]
        self.assertEqual(lost, [])

    def test_stand_together(self) -> None:
        """A module that is named beside a folder, or beside another module, lies with it."""
        text = (ROOT / "docs" / "design" / "flow.md").read_text("utf-8")
        named = [
            AROUND / row[1].rpartition("/")[0] / name
            for row in ROW_OF_PATH.finditer(text)
            for name in MODULE.findall(row[0])
        ]
        self.assertGreater(len(named), 20)
        self.assertEqual([path for path in named if not path.exists()], [])
