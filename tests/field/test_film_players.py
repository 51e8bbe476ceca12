"""A recorded film in stock players: wherever they go in it, they show the picture of that time.

The films, and which picture is to be shown when, are `tests.rigs.screening`'s; the players,
`tests.rigs.players`'.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rigs.daemons import Site
from tests.rigs.documented import commands
from tests.rigs.players import (
    Chromium,
    Mpv,
    NewestFFmpeg,
    SystemFFmpeg,
    ffprobe_length,
    mutagen_length,
)
from tests.rigs.screening import LAYOUTS, Showing, Theatre

#: How often each player goes somewhere in each film.
SEEKS = 20


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A server for all of them."""
    site = Site(tmp_path_factory.mktemp("theatre"))
    yield Theatre(site)
    site.stop()


@pytest.fixture(scope="module")
def chromium(theatre: Theatre) -> Iterator[Chromium]:
    """One browser for all of them."""
    made = Chromium(theatre.site.url)
    yield made
    made.close()


def _check(showing: Showing, chromium: Chromium) -> None:
    """Every player shows the right pictures, and every reader finds the length."""
    players = (SystemFFmpeg(), Mpv(), NewestFFmpeg(), chromium)
    wrong = {player.name: showing.wrong(player, SEEKS) for player in players}
    assert not any(wrong.values()), wrong
    for length in (ffprobe_length, mutagen_length, chromium.length):
        assert abs(length(showing.url) - showing.length) < 0.002, length


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole(theatre: Theatre, chromium: Chromium, name: str) -> None:
    """Of a whole session, whatever its segments are like: also where something is missing, and
    the last picture before that is shown."""
    _check(theatre.whole(name), chromium)


@pytest.mark.parametrize("name", LAYOUTS)
def test_range(theatre: Theatre, chromium: Chromium, name: str) -> None:
    """Of a time range, which begins with the picture that was asked for, between keyframes."""
    _check(theatre.clip(name), chromium)


@pytest.mark.parametrize("name", ["hole", "b-frames-hole"])
@pytest.mark.parametrize("of", ["recording.mp4", "index.m3u8"])
def test_copied(theatre: Theatre, of: str, name: str, tmp_path: Path) -> None:
    """The command of the guide that makes a file of a film, or of a playlist, keeps the time of
    each picture, also after a gap."""
    showing = theatre.whole(name)
    (text,) = (one.text for one in commands() if "-c copy" in one.text and of in one.text)
    session = showing.url.rpartition("/")[0]
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=tmp_path,
        env={**os.environ, "SESSION": session},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert done.returncode == 0, done
    (file,) = tmp_path.iterdir()
    copy = replace(showing, url=str(file))
    assert copy.wrong(SystemFFmpeg(), SEEKS) == []
    assert abs(ffprobe_length(copy.url) - copy.length) < 0.3


@pytest.mark.parametrize("name", ["hole", "b-frames-hole"])
def test_played_over_a_hole(theatre: Theatre, name: str) -> None:
    """Players that go on to the next picture when told to go into a hole show, played, the last
    one before it for as long as it lasts."""
    showing = theatre.whole(name)
    begin, end, number = showing.longest
    assert end - begin > 5
    played = SystemFFmpeg().played(showing.url, begin + 0.1, end - 0.1, 5)
    assert set(played) == {number}
    assert Mpv().played(showing.url, begin - 0.4, 1.5) == number
