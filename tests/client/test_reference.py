"""Tests of ``docs/reference/client.md`` against the module itself."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vidlink import client, errors

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "client.md").read_text("utf-8")


def calls(heading: str) -> set[str]:
    """The calls in the table below a heading."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert section is not None, heading
    return set(re.findall(r"^\| `([a-z_]+)\(", section[1], re.M))


def public(kind: type) -> set[str]:
    """The names of the public methods of a class."""
    return {name for name in vars(kind) if not name.startswith("_")}


class PageTests(SynchronousTestCase):
    """What the page names is there, and what is there it names."""

    def test_names(self) -> None:
        """Every name of the module is there and on the page, and explains itself."""
        self.assertEqual(client.__all__, sorted(client.__all__))
        for name in client.__all__:
            self.assertIn(f"`{name}", TEXT, name)
            self.assertTrue(name == "Event" or getattr(client, name).__doc__, name)

    def test_calls(self) -> None:
        """Every call is on the page, and the other way round; each explains itself."""
        self.assertEqual(calls("History"), public(client.History))
        self.assertEqual(calls("Live"), public(client.Live))
        for kind in (client.History, client.Live, client.Follow, client.Splice):
            for name in public(kind):
                self.assertTrue(getattr(kind, name).__doc__, name)

    def test_errors(self) -> None:
        """Every error on the page is one of ours."""
        table = TEXT.partition("| error | meaning |")[2].partition("\n\n")[0]
        named = re.findall(r"`([A-Z][A-Za-z]+)`", table)
        self.assertGreater(len(named), 8)
        for name in named:
            self.assertTrue(issubclass(getattr(errors, name), errors.VidlinkError))
