"""Command lines: mistakes give one line and status 1, good values arrive as meant."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from vidlink.commands import Options as VidlinkOptions
from vidlink.commands.demo import Options as DemoOptions
from vidlink.errors import StoreError, UserMistake
from vidlink.model import KEEP_ALL, Policy
from vidlink.options import OneLineOptions, or_exit
from vidlink.plugins import find_codecs
from vidlink.sentinel import tap
from vidlink.sentinel.machine import Machine
from vidlink.sentinel.tap import Options as SentinelOptions
from vidlink.sentinel.tap import identity
from vidlink.server.tap import Options as ServerOptions
from vidlink.server.tap import kept_free, policy_of


class OptionsTests(SynchronousTestCase):
    """Each command's options."""

    def complaint(self, options: OneLineOptions, *arguments: str) -> str:
        """The one line that a mistake gives."""
        ended = self.assertRaises(SystemExit, options.parseOptions, list(arguments))
        # A text as the argument of SystemExit is printed to standard error, with status 1.
        text = ended.code
        self.assertIsInstance(text, str)
        self.assertEqual(str(text).count("\n"), 0)
        return str(text)

    def test_numbers(self) -> None:
        """A number out of range, or none at all, is named with its range."""
        for options, name, value in (
            (ServerOptions(), "buffer-seconds", "0"),
            (ServerOptions(), "buffer-bytes", "lots"),
            (ServerOptions(), "buffer-total-bytes", "-1"),
            (ServerOptions(), "queue-bytes", "0"),
            (ServerOptions(), "retain-days", "-1"),
            (ServerOptions(), "retain-bytes", "1G"),
            (ServerOptions(), "min-free-bytes", "1.5"),
            (SentinelOptions(), "fps", "5.1"),
            (SentinelOptions(), "fps", "nan"),
            (SentinelOptions(), "bitrate", "1e9"),
            (SentinelOptions(), "keyframe-interval", "inf"),
            (DemoOptions(), "screens", "1000"),
            (DemoOptions(), "port", "65536"),
        ):
            arguments = ["--id", "a"] if isinstance(options, SentinelOptions) else []
            line = self.complaint(options, *arguments, f"--{name}", value)
            self.assertIn(f"--{name} takes a number from ", line)
            self.assertIn(repr(value), line)

    def test_bounds(self) -> None:
        """Bounds are named as they may be typed, without an exponent."""
        line = self.complaint(ServerOptions(), "--queue-bytes", "x")
        self.assertIn("from 1048576 to 17592186044416, not 'x'", line)
        line = self.complaint(SentinelOptions(), "--id", "a", "--fps", "9")
        self.assertIn("from 0.2 to 5, not '9'", line)

    def test_keeping_nothing(self) -> None:
        """A bound of nothing would delete everything at once; it is refused, and the line says how
        to keep recordings for ever."""
        for name, value in (
            ("retain-days", "0"),
            ("retain-days", "0.0"),
            ("retain-days", "-0"),
            ("retain-days", "1e-12"),
            ("retain-bytes", "0"),
        ):
            for besides in ([], ["--retain-dry-run"]):
                line = self.complaint(ServerOptions(), f"--{name}", value, *besides)
                self.assertIn(f"to keep them for ever, leave --{name} out", line)
        options = ServerOptions()
        options.parseOptions(["--min-free-bytes", "0"])
        self.assertEqual(policy_of(options).min_free_bytes, 0)

    def test_unknown(self) -> None:
        """An option that does not exist is named, with a hint where the others are."""
        for options in (ServerOptions(), SentinelOptions(), DemoOptions(), VidlinkOptions()):
            line = self.complaint(options, "--frobnicate")
            self.assertIn("frobnicate", line)
            self.assertIn("--help", line)

    def under_twistd(self, options: OneLineOptions, **named: object) -> OneLineOptions:
        """`options` as twistd parses them, with its own `named` before."""
        usual = {"pidfile": "", "logfile": None, "nodaemon": True, "chroot": None, "syslog": False}
        usual["rundir"] = "."
        parent: Any = {**usual, **named}
        options.parent = parent
        return options

    def test_files_of_twistd(self) -> None:
        """Where twistd could not write its pid or its log, one line says so, and how to go on."""
        nowhere = os.path.join(self.mktemp(), "file")
        folder = self.mktemp()
        os.mkdir(folder)
        for make in (ServerOptions, SentinelOptions):
            arguments = ["--id", "a"] if make is SentinelOptions else []
            for path in (nowhere, folder, "/proc/twistd"):
                for name in ("pidfile", "logfile"):
                    line = self.complaint(self.under_twistd(make(), **{name: path}), *arguments)
                    self.assertIn(f"--{name}", line)
                    self.assertIn(os.path.abspath(path), line)

    def test_log_in_the_background(self) -> None:
        """In the background twistd has a log of its own, where it is started."""
        self.patch(os, "getcwd", lambda: "/proc")
        line = self.complaint(self.under_twistd(ServerOptions(), nodaemon=False))
        self.assertIn("/proc/twistd.log", line)

    def test_files_that_can_be_written(self) -> None:
        """Where it can, nothing is left behind, and what was there is as it was."""
        folder = self.mktemp()
        os.mkdir(folder)
        new, old = os.path.join(folder, "new"), os.path.join(folder, "old")
        with open(old, "w") as file:
            file.write("4711")
        for pid, log in ((new, old), (old, new), ("", "-"), ("", None)):
            self.under_twistd(ServerOptions(), pidfile=pid, logfile=log).parseOptions([])
        for other in ({"syslog": True}, {"logger": "some.observer"}):
            options = self.under_twistd(ServerOptions(), logfile="/proc/x", **other)
            options.parseOptions([])
        self.under_twistd(ServerOptions(), pidfile="/proc/x", chroot="/srv").parseOptions([])
        self.assertEqual(os.listdir(folder), ["old"])
        with open(old) as file:
            self.assertEqual(file.read(), "4711")

    def test_ids(self) -> None:
        """Anything else than an id is refused."""
        for text in ("", "../up", "a b", "-dash", "x" * 65, "ä"):
            self.assertIn("--id", self.complaint(SentinelOptions(), f"--id={text}"))
        self.assertIn("--spool", self.complaint(SentinelOptions(), "--id=a", "--spool="))

    def test_own_ids(self) -> None:
        """Whoever is given no id is called what the host is, or by a network card's address; where
        there is neither, somebody has to say."""
        machine = Machine("desk-12", "52:54:00:12:34:56", "a" * 64)
        self.patch(tap, "this_machine", lambda: machine)
        for words, name in (
            ([], "desk-12"),
            (["--id-from", "mac"], "52-54-00-12-34-56"),
            (["--id-from", "mac", "--id", "mine"], "mine"),
        ):
            options = SentinelOptions()
            options.parseOptions(words)
            self.assertEqual(options["id"], name)
        self.assertIn("--id-from takes", self.complaint(SentinelOptions(), "--id-from", "dmi"))
        machine = Machine("Pult 7", "", "a" * 64)
        for source, told in (("host", "no name .*Pult 7.*--id"), ("mac", "no MAC address .*--id")):
            line = self.complaint(SentinelOptions(), "--id-from", source)
            self.assertRegex(line, told)
        words = ["--id", "a", "--token-file", "x", "--enrol-token-file", "y"]
        self.assertIn("not both", self.complaint(SentinelOptions(), *words))

    def test_state(self) -> None:
        """A folder for a token that is never kept is a mistake; where it may be kept, there is
        one."""
        line = self.complaint(SentinelOptions(), "--id", "a", "--state", "x")
        self.assertIn("--enrol-token-file", line)
        for words, folder in (([], "vidlink-state"), (["--state", "x"], "x")):
            options = SentinelOptions()
            options.parseOptions(["--id", "a", "--enrol-token-file", "y", *words])
            self.assertEqual(options["state"], folder)

    def test_two_tokens(self) -> None:
        """Where a token of the machine's own is shown, a line says that the one in the
        environment is not; where there is none there, nothing is said."""
        options = SentinelOptions()
        options.parseOptions(["--id", "a", "--enrol-token-file", "y"])
        address, enrolment = mock.Mock(), mock.Mock(token="its-own")
        for given, told in (("secret-of-another", 1), ("", 0)):
            with (
                mock.patch.dict(os.environ, VIDLINK_TOKEN=given),
                capturedLogs() as logs,
            ):
                tap._shown(options, address, enrolment)()
            (*lines,) = map(formatEvent, logs)
            self.assertEqual(len([one for one in lines if "VIDLINK_TOKEN is not" in one]), told)
            self.assertNotIn("secret", repr(lines))
            address.headers.assert_called_with("its-own", can_go_plain=False)

    def test_names(self) -> None:
        """A name that cannot be sent is refused before anything is started."""
        for option in ("name", "group"):
            for text in ("x" * 129, "two\nlines"):
                options = SentinelOptions()
                options.parseOptions(["--id", "a", f"--{option}", text])
                for codec in find_codecs():
                    mistake = self.assertRaises(UserMistake, identity, options, codec)
                    self.assertIn("--name or --group", str(mistake))
        options = SentinelOptions()
        options.parseOptions(["--id", "a", "--name", "Tisch 1", "--group", "Saal Ä"])
        who = identity(options, find_codecs()[0])
        self.assertEqual((who.sentinel_id, who.name, who.group), ("a", "Tisch 1", "Saal Ä"))

    def test_size(self) -> None:
        """A size is WIDTHxHEIGHT."""
        for text in ("1920", "1920x", "axb", "1920X1080x1", "00x00"):
            line = self.complaint(SentinelOptions(), "--id", "a", "--max-size", text)
            self.assertIn("--max-size", line)
        options = SentinelOptions()
        options.parseOptions(["--id", "a", "--max-size", "1280x720", "--fps", "0.2"])
        self.assertEqual(options["max-size"], (1280, 720))
        self.assertEqual(options["fps"], 0.2)

    def test_repeated(self) -> None:
        """What may be given again adds up."""
        options = ServerOptions()
        options.parseOptions(
            ["--listen", "tcp:1", "-l", "tcp:2", "--allow-origin", "https://a.example"]
        )
        self.assertEqual(options["listen"], ["tcp:1", "tcp:2"])
        self.assertEqual(options["allow-origin"], ["https://a.example"])
        self.assertEqual(ServerOptions()["listen"], [])

    def test_retention(self) -> None:
        """What is kept is as the operator says; everything, unless they do."""
        options = ServerOptions()
        options.parseOptions([])
        self.assertEqual(policy_of(options), KEEP_ALL)
        options = ServerOptions()
        words = ["--retain-days", "0.5", "--retain-bytes", "7", "--min-free-bytes", "8"]
        options.parseOptions([*words, "--retain-dry-run"])
        policy = Policy(43_200_000_000, 7, 8, is_rehearsal=True)
        self.assertEqual(policy_of(options), policy)
        self.assertIsNone(kept_free(options), "a rehearsal keeps no room")
        options = ServerOptions()
        options.parseOptions(words)
        self.assertEqual(kept_free(options), 8)
        self.assertIn("disk or os", self.complaint(ServerOptions(), "--durability", "tape"))

    def test_command(self) -> None:
        """`vidlink` without a command says what to type."""
        self.assertIn("vidlink demo", self.complaint(VidlinkOptions()))

    def test_or_exit(self) -> None:
        """An error of ours ends the process with one line; anything else is not swallowed."""
        for error in (UserMistake("use another port"), StoreError("use another port")):

            def fail(error: Exception = error) -> None:
                raise error

            ended = self.assertRaises(SystemExit, or_exit, "twistd x", fail)
            self.assertEqual(ended.code, "twistd x: use another port")
            # What twistd tells the process that waits for a daemon's start.
            self.assertIsInstance(ended, Exception)
        self.assertRaises(ZeroDivisionError, or_exit, "twistd x", lambda: 1 // 0)
        self.assertEqual(or_exit("twistd x", lambda: 7), 7)
