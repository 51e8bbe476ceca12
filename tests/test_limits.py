"""The table of limits, held against those that there are, and the option that turns them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import vidlink
from vidlink.access import hashing
from vidlink.access.enrolments import USUAL_MOST
from vidlink.errors import UserMistake
from vidlink.model import USUAL
from vidlink.server.api.bodies import STRETCH_BYTES
from vidlink.server.limits import LIMITS, with_limit
from vidlink.server.port.lobby import Lobby
from vidlink.server.port.sending import MOST_SENT_BYTES
from vidlink.server.sockets.link import LEAVING_FACTOR
from vidlink.server.tap import Options
from vidlink.store.files.sound import MOST_PARTS
from vidlink.store.reading.known import MOST_LISTED
from vidlink.store.reading.media import ROWS_AHEAD
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_DEPTH, MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "limits.md"
KIB, MIB, GIB = 1024, 1024 * 1024, 1024 * 1024 * 1024


def rows() -> Iterator[list[str]]:
    """All limits: how each is called, its names, its default, and what is beyond it."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "limit":
            yield cells


def names_in(cell: str) -> list[str]:
    """The names of limits in a cell of the table."""
    return re.findall(r"`([a-z][a-z-]+)`", cell)


def size(octets: int) -> str:
    """A size as people say it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if octets % unit == 0:
            return f"{octets // unit} {name}"
    raise AssertionError(octets)


def usual(name: str) -> str:
    """The default of the limit with this name, as people say it."""
    value = getattr(USUAL, LIMITS[name].name)
    if name.endswith("-bytes"):
        return size(value)
    if name.endswith("-seconds"):
        return f"{value:g} s"
    count = f"{value:,}".removesuffix(".0")
    return f"{count} a second" if name.endswith("-per-second") else count


class TableTests(SynchronousTestCase):
    """Each line has the value that is in force."""

    def test_names(self) -> None:
        """Every name is in the table, in order, and no other one."""
        self.assertEqual([name for row in rows() for name in names_in(row[1])], list(LIMITS))

    def test_defaults(self) -> None:
        """The default that stands there is that of the names beside it."""
        said = {
            "descriptors": "{}, or as many as the process may have (`ulimit -Hn`)",
            "waiting-connections": "{}, and 1/8 of all descriptors",
            "waiting-connections-per-place": "{}, and half of those of all",
            "newcomers-per-turn": "{} of each",
            "linger-seconds": "{} each",
            "held-bytes": "{} and one read",
            "frames-per-turn": "{}, then a rest of {}",
            "guesses-per-place": "{}, and one in {} s",
            "memory-share": "1/{} of that, and at least {}",
        }
        for _, cell, default, _ in rows():
            if names := names_in(cell):
                form = said.get(names[0], "{}, and {}" if len(names) > 1 else "{}")
                self.assertEqual(default, form.format(*map(usual, names)), cell)

    def test_fixed(self) -> None:
        """So is what is fixed, what another option turns, and what is a share of another limit."""
        options, lobby = Options(), Lobby(Clock(), 16 * KIB)
        options.parseOptions([])
        self.assertEqual((lobby.most_open, lobby.most_staying), (15 * KIB, 14 * KIB))
        self.assertEqual((lobby.most, lobby.most_each, lobby.most_asking), (2 * KIB, KIB, 4 * KIB))
        share = f"1/{usual('memory-share')} of that, and at least {usual('memory-least-bytes')}"
        self.assertEqual(
            [tuple(row[1:3]) for row in rows() if not names_in(row[1])],
            [
                ("fixed", "15/16 of those"),
                ("fixed", "7/8 of those"),
                ("fixed", "1/4 of all descriptors"),
                ("fixed", f"{LEAVING_FACTOR} times those"),
                ("fixed", size(MAX_CONTROL_BYTES)),
                ("fixed", size(MAX_MESSAGE_BYTES)),
                ("fixed", f"{MAX_DEPTH}"),
                ("fixed", f"{MAX_MEDIA_PARTS}"),
                ("fixed", f"{hashing.MOST_PASSWORD} characters"),
                ("`--buffer-total-bytes`", size(options["buffer-total-bytes"])),
                ("the same two", share),
                ("fixed", f"{size(STRETCH_BYTES)}, and {size(MOST_SENT_BYTES)} and one more call"),
                (
                    "fixed",
                    f"of the {MOST_LISTED} sessions read last, {ROWS_AHEAD} of each, behind up to "
                    "as many that were asked for",
                ),
                ("fixed", f"{MOST_PARTS}, and 1/32 of all descriptors"),
                ("`--queue-bytes`", size(options["queue-bytes"])),
                ("`vidlink token add --most`", f"{USUAL_MOST}"),
            ],
        )

    def test_read(self) -> None:
        """Each is read somewhere from the bounds that are handed around."""
        nodes = (
            node
            for path in Path(vidlink.__file__).parent.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
        read = {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("bounds")
        }
        self.assertEqual({one.name for one in LIMITS.values()} - read, set())

    def test_beyond(self) -> None:
        """What is beyond each limit is said."""
        for row in rows():
            self.assertTrue(all(row), row)


class OptionTests(SynchronousTestCase):
    """``--limit``."""

    def test_turned(self) -> None:
        """Several may be turned; of one that is said twice the last counts, and the others stay."""
        options = Options()
        options.parseOptions([])
        self.assertEqual(options["limit"], USUAL)
        said = ("header-seconds=10", "guesses-per-place=9", "guesses-per-place=600")
        options = Options()
        options.parseOptions([word for one in said for word in ("--limit", one)])
        bounds = options["limit"]
        self.assertEqual((bounds.header_seconds, bounds.guesses_per_place), (10.0, 600))
        self.assertEqual(bounds.body_seconds, USUAL.body_seconds)

    def test_ends(self) -> None:
        """The ends of each are taken, and what is beyond them is not; the default is between."""
        for name, one in LIMITS.items():
            lowest, highest = one.metadata["range"]
            self.assertTrue(lowest <= one.default <= highest, name)
            for value in (lowest, highest):
                turned = getattr(with_limit(USUAL, f"{name}={value}"), one.name)
                self.assertEqual((turned, type(turned)), (value, type(one.default)))
            for wrong in (lowest - 1, highest + 1):
                self.assertRaises(UserMistake, with_limit, USUAL, f"{name}={wrong}")

    def test_mistakes(self) -> None:
        """A mistake gives one line: the names if it is about the name, the ends if it is about the
        number."""
        for text in ("help", "", "=5", "header-second=5", "header_seconds=5", "header-seconds"):
            options = Options()
            line = str(self.assertRaises(SystemExit, options.parseOptions, ["--limit", text]).code)
            self.assertNotIn("\n", line)
            is_name = text.partition("=")[0] in LIMITS
            self.assertEqual(all(name in line for name in LIMITS), not is_name, text)
        for number in ("", "x", "0", "nan", "inf", "1e9", "5s"):
            mistake = self.assertRaises(UserMistake, with_limit, USUAL, f"header-seconds={number}")
            said = f"--limit header-seconds takes a number from 0.1 to 3600, not {number!r}"
            self.assertEqual(str(mistake), said)

    @given(st.text() | st.builds("{}={}".format, st.sampled_from(list(LIMITS)), st.text()))
    def test_anything(self, text: str) -> None:
        """Whatever is typed turns a limit to what is sensible, or is a mistake."""
        try:
            bounds: Any = with_limit(USUAL, text)
        except UserMistake:
            return
        for one in LIMITS.values():
            lowest, highest = one.metadata["range"]
            self.assertTrue(lowest <= getattr(bounds, one.name) <= highest)
