"""Tests of what the package says of itself, for a reader who knows nothing else of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pkgutil import resolve_name

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.interface import InterfaceClass

from tests.test_layering import modules

QUESTION = re.compile(r"\A\s*(What|How|Whether)\b")
OTHER_DIALECT = re.compile(r"^\s*Raises:|\b[Rr]aises :(?!raises)", re.MULTILINE)
TARGET = re.compile(
    r":(?:mod|class|exc|func|meth|attr|data):`~?(vidlink[\w.]*)`|:raises ~?(vidlink[\w.]*):"
)
COMMENT = re.compile(r"(?:^ *#:.*\n)+", re.MULTILINE)

_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(source: str) -> Iterator[str]:
    """Every docstring in `source`, those of interfaces' attributes and ``#:`` comments too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _WITH_DOCSTRING):
            yield ast.get_docstring(node) or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Attribute":
            yield from (str(text.value) for text in node.args if isinstance(text, ast.Constant))
    for comment in COMMENT.findall(source):
        yield re.sub(r"^ *#: ?", "", comment, flags=re.MULTILINE)


def targets(text: str) -> Iterator[str]:
    """The dotted names of ours that `text` refers to."""
    return (role or error for role, error in TARGET.findall(text))


def exists(target: str) -> bool:
    """True if there is a module of that name, or something of it in one."""
    try:
        resolve_name(target)
    except AttributeError:
        holder, _, name = target.rpartition(".")
        found = resolve_name(holder) if exists(holder) else None
        return isinstance(found, InterfaceClass) and name in found
    return True


class DocstringTests(SynchronousTestCase):
    """The package as it stands."""

    def having(self, flaw: re.Pattern[str]) -> list[tuple[str, str]]:
        """The first lines of the docstrings that have `flaw`, each with its module."""
        return [
            (module, text.strip().partition("\n")[0])
            for module, path in modules()
            for text in docstrings(path.read_text("utf-8"))
            if flaw.search(text)
        ]

    def test_nouns(self) -> None:
        """No docstring begins as half a question: it names the thing, or says what to do."""
        self.assertEqual(self.having(QUESTION), [])

    def test_one_dialect(self) -> None:
        """An error that a function raises is a field of its docstring, not a sentence."""
        self.assertEqual(self.having(OTHER_DIALECT), [])

    def test_targets(self) -> None:
        """Whatever of ours a docstring refers to is there."""
        lost = [
            (module, target)
            for module, path in modules()
            for text in docstrings(path.read_text("utf-8"))
            for target in targets(text)
            if not exists(target)
        ]
        self.assertEqual(lost, [])


class CheckTests(SynchronousTestCase):
    """The check itself, on docstrings planted for it."""

    def test_found(self) -> None:
        """Docstrings of every kind are looked at."""
        source = '"""A."""\nclass B:\n    """C."""\n    def d(self):\n        """E."""\n'
        source += '    #: F,\n    #: f.\n    g = Attribute("""H.""")\n'
        found = [text.strip() for text in docstrings(source)]
        self.assertEqual(sorted(found), ["A.", "C.", "E.", "F,\nf.", "H."])

    def test_flaws(self) -> None:
        """Half questions and errors told in a sentence are found out, and nothing like them."""
        for flawed in ("What is kept.", "How much.", "Whether it is."):
            self.assertTrue(QUESTION.search(flawed), flawed)
        for flawed in ("A.\n\nRaises:\n    B: c.", "A. Raises :exc:`B`.", "A; raises :exc:`B`."):
            self.assertTrue(OTHER_DIALECT.search(flawed), flawed)
        for right in ("However.", "Whatever is kept.", "A.\n\n:raises B: if it raises C."):
            self.assertFalse(QUESTION.search(right) or OTHER_DIALECT.search(right), right)

    def test_lost(self) -> None:
        """A module, a class, a method and a member of an interface are known, and no others."""
        for target in (
            "vidlink.wire",
            "vidlink.wire.schema.TABLE",
            "vidlink.timer.Timer.start",
            "vidlink.model.Gap.cause",
            "vidlink.interfaces.ICodec.rank",
        ):
            self.assertTrue(exists(target), target)
            self.assertFalse(exists(target + "x"), target)
        self.assertEqual(
            list(targets(":exc:`~vidlink.errors.A`, `vidlink.b`, :raises ~vidlink.errors.C: if")),
            ["vidlink.errors.A", "vidlink.errors.C"],
        )
