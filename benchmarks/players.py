"""Seeks of stock players in recorded films, and how many show a wrong picture.

    python -m benchmarks.players [SEEKS]

For each layout of segments, the whole session and a time range of it: how many of so many seeks
(20) to and fro show another picture than the one of that time, as a row of tab-separated values.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.rigs.daemons import Site
from tests.rigs.players import (
    Chromium,
    Mpv,
    NewestFFmpeg,
    SystemFFmpeg,
    ffprobe_length,
    mutagen_length,
)
from tests.rigs.screening import LAYOUTS, Showing, Theatre


def main() -> None:
    """Print the table."""
    seeks = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            theatre = Theatre(site)
            chromium = Chromium(site.url)
            _table(theatre, chromium, seeks)
            chromium.close()
        finally:
            site.stop()


def _table(theatre: Theatre, chromium: Chromium, seeks: int) -> None:
    players = (SystemFFmpeg(), Mpv(), NewestFFmpeg(), chromium)
    names = [player.name for player in players]
    print("layout", "film", *names, f"wrong of {seeks} each", sep="\t")
    total = 0
    for layout in LAYOUTS:
        for film in ("whole", "range"):
            showing = theatre.whole(layout) if film == "whole" else theatre.clip(layout)
            wrong = [len(showing.wrong(player, seeks)) for player in players]
            total += sum(wrong)
            print(layout, film, *wrong, _lengths(showing, chromium), sep="\t", flush=True)
    print(f"{total} wrong of {2 * len(LAYOUTS) * len(players) * seeks}")


def _lengths(showing: Showing, chromium: Chromium) -> str:
    """What each reader has for the length."""
    told = [length(showing.url) for length in (ffprobe_length, mutagen_length, chromium.length)]
    return f"{showing.length:.3f} s; ffprobe, mutagen, Chromium: " + ", ".join(
        f"{seconds:.3f}" for seconds in told
    )


if __name__ == "__main__":
    main()
