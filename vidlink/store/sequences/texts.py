"""Texts that others gave: what of them can be written as UTF-8.

JSON may bring half a surrogate pair, which no file and no database takes.
"""

from __future__ import annotations


def is_text(text: str) -> bool:
    """True if `text` can be written as it is."""
    return as_text(text) == text


def as_text(text: str) -> str:
    """`text` with a question mark for whatever cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
