"""The commands that the documentation gives: in shell blocks of its pages, and in the comments of
the configurations in ``etc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where commands stand that a person copies.
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/**/*.md")),
)
CONFIGURATIONS = tuple(sorted((ROOT / "etc").iterdir()))
#: The languages of blocks, those with commands first; a block in any other, or in none, might hide
#: some.
SHELLS = frozenset({"sh"})
OTHERS = frozenset({"js", "json", "python", "text", "{toctree}"})

_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.M | re.S)
#: In a configuration commands are set in, or stand between backquotes.
_COMMENTED = re.compile(r"^#\s{2,}(\S.*)$", re.M)
#: In CONTRIBUTING.md some stand in a table.
_ROW = re.compile(r"^\| `([^`]+)` \| ", re.M)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line as it stands on a page, without the ends of lines in it."""

    page: str
    text: str


def languages() -> Iterator[tuple[str, str]]:
    """The page and the language of every block."""
    for page in PAGES:
        for language, _ in _FENCE.findall(page.read_text("utf-8")):
            yield page.name, language


def commands() -> Iterator[Command]:
    """Every command, in the order of the pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        name = str(page.relative_to(ROOT))
        for language, block in _FENCE.findall(text):
            if language in SHELLS:
                yield from (Command(name, line) for line in _lines(block))
        if page.name == "CONTRIBUTING.md":
            table = text.partition("| command | ")[2].partition("\n\n")[0]
            yield from (Command(name, line) for line in _ROW.findall(table))
    for file in CONFIGURATIONS:
        for line in _COMMENTED.findall(file.read_text("utf-8")):
            yield Command(str(file.relative_to(ROOT)), line)


def _lines(block: str) -> Iterator[str]:
    for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line
