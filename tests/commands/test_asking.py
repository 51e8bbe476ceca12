"""Options of the commands that ask a server."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from vidlink.commands.export import Options as ExportOptions
from vidlink.commands.ls import Options as LsOptions
from vidlink.commands.watch import Options as WatchOptions
from vidlink.messages import StartFrom
from vidlink.model import Tier
from vidlink.options import OneLineOptions
from vidlink.terminal.asking import VARIABLE


class AskingOptionsTests(SynchronousTestCase):
    """What a person types."""

    def setUp(self) -> None:
        """An environment that says nothing."""
        if VARIABLE in os.environ:
            self.addCleanup(os.environ.__setitem__, VARIABLE, os.environ.pop(VARIABLE))

    def test_server(self) -> None:
        """The server is this machine's, or that of the variable, or that of the option."""
        for kind in (ExportOptions, LsOptions, WatchOptions):
            words = [] if kind is LsOptions else ["desk-1"]
            self.assertEqual(self.parsed(kind(), *words)["server"], "http://127.0.0.1:8080")
            os.environ[VARIABLE] = "https://a.example"
            self.assertEqual(self.parsed(kind(), *words)["server"], "https://a.example")
            options = self.parsed(kind(), *words, "-s", "https://b.example")
            self.assertEqual(options["server"], "https://b.example")
            del os.environ[VARIABLE]

    def test_anywhere(self) -> None:
        """Options stand before and after what is none, and end at two dashes."""
        for words in (
            ["desk-1", "--seconds", "4", "--tier=keyframes"],
            ["--seconds=4", "desk-1", "--tier", "keyframes"],
            ["--tier", "keyframes", "--seconds", "4", "--", "desk-1"],
            ["--tier", "keyframes", "--sec", "4", "desk-1"],
        ):
            options = self.parsed(WatchOptions(), *words)
            self.assertEqual(options["sentinel"], "desk-1")
            self.assertEqual((options["seconds"], options["tier"]), (4.0, Tier.KEYFRAMES))
        options = self.parsed(WatchOptions(), "desk-1", "--from", "oldest")
        self.assertIs(options["from"], StartFrom.OLDEST)
        options = self.parsed(LsOptions(), "desk-1", "-j", "-g", "", "--to", "2026-01-01")
        self.assertEqual(
            (options["json"], options["group"], options["sentinel"]), (1, "", "desk-1")
        )

    def test_mistakes(self) -> None:
        """Every mistake is one line that names what is wrong."""
        for options, words, wanted in (
            (WatchOptions(), [], "which sentinel"),
            (WatchOptions(), ["../up"], "'../up'"),
            (WatchOptions(), ["a", "b"], "arguments"),
            (WatchOptions(), ["a", "--seconds", "-1"], "--seconds"),
            (WatchOptions(), ["a", "--tier", "half"], "--tier takes full or keyframes"),
            (WatchOptions(), ["a", "--from", "now"], "--from takes latest or oldest"),
            (WatchOptions(), ["a", "--frobnicate"], "frobnicate"),
            (LsOptions(), ["a", "--sentinel", "b"], "two sentinels"),
            (LsOptions(), ["--from", "yesterday"], "--from"),
            (LsOptions(), ["--from", "2026-01-02", "--to", "2026-01-01"], "--to"),
            (LsOptions(), ["--from", "1960-01-01"], "--from takes a time since 1970"),
            (LsOptions(), ["--group", "\udcff"], "--group"),
            (LsOptions(), ["--limit", "many"], "--limit"),
            (ExportOptions(), [], "SENTINEL"),
            (ExportOptions(), ["a", "--group", "b"], "not both"),
            (ExportOptions(), ["--group", "a\nb"], "--group"),
            (ExportOptions(), ["a", "short"], "'short'"),
            (ExportOptions(), ["a b"], "'a b'"),
        ):
            self.assertIn(wanted, self.complaint(options, *words))

    def parsed(self, options: OneLineOptions, *words: str) -> OneLineOptions:
        """`options` after these words."""
        options.parseOptions(list(words))
        return options

    def complaint(self, options: OneLineOptions, *words: str) -> str:
        """The one line that a mistake gives."""
        ended = self.assertRaises(SystemExit, options.parseOptions, list(words))
        self.assertIsInstance(ended.code, str)
        self.assertNotIn("\n", str(ended.code))
        self.assertTrue(str(ended.code).startswith("vidlink "))
        return str(ended.code)
