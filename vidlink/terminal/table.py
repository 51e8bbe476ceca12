"""Listings for a person: columns under their heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Row = tuple[str, ...]


def put_table(
    put: Callable[[str], None], head: Row, rows: Iterable[tuple[Row, Sequence[str]]]
) -> None:
    """Columns under their heads, each row with its remarks below it."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *(row for row, _ in rows), strict=True)]
    for row, remarks in [(head, ()), *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        put("  ".join(cells).rstrip())
        for remark in remarks:
            put(f"    {remark}")
