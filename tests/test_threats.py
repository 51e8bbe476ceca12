"""The threat model says of everything that is done about a threat which test shows it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "design" / "threats.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
#: The sections of lines that no test shows.
WITHOUT = {"What is worth something", "Who there is", "What is not defended"}
#: A line that says who is trusted.
TRUST = "it is trusted."


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file; none if there is no such file."""
    path = ROOT / file
    if not path.exists():
        return frozenset()
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    found = (one for one in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(one, kinds))
    return frozenset(one.name for one in found if one.name.startswith("test_"))


class ThreatTests(SynchronousTestCase):
    """The page, and the tests that it names."""

    def test_every_test_is_there(self) -> None:
        """Each test that is named on the page is one."""
        named = NAMED.findall(PAGE)
        self.assertGreater(len(named), 80)
        self.assertEqual([one for one in named if one[1] not in names_in(one[0])], [])

    def test_every_line_is_shown(self) -> None:
        """Each line that says what is done names a test, or says that somebody is trusted."""
        sections = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
        lines = [
            line
            for name, text in zip(sections[::2], sections[1::2], strict=True)
            if name not in WITHOUT
            for line in re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)
        ]
        self.assertGreater(len(lines), 40)
        self.assertEqual([one for one in lines if not NAMED.search(one) and TRUST not in one], [])
