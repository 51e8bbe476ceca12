"""Other people's sentinels whose clocks and muxers break the rules for media: what is corrected is
marked, what is refused says why, and no range, film or length comes out wrong."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from struct import pack_into

import pytest

from tests.rigs.clocks.wallclock import WallClock
from tests.rigs.daemons import Site
from tests.rigs.foreign import EACH_INTERVAL, Film, Recorded, connect, film, record
from tests.rigs.needs import need
from vidlink.messages import ErrorMessage

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
YEAR_US = 365 * 24 * HOUR_US
SECONDS, FRAMES = 8, 40


def _later(made: Film, seconds: float, first: int = 0) -> Film:
    """`made` with the media times from piece `first` on so much later."""
    ticks = round(seconds * made.timescale)
    pieces = list(made.pieces)
    for number in range(first, len(pieces)):
        piece, data = pieces[number], bytearray(pieces[number].data)
        place = data.index(b"tfdt") + 4
        assert data[place] == 1
        pack_into(">Q", data, place + 4, piece.media_time + ticks)
        pieces[number] = replace(piece, data=bytes(data), media_time=piece.media_time + ticks)
    return replace(made, pieces=tuple(pieces))


def _refused(site: Site, made: Film, starts_us: dict[int, int], at: int) -> tuple[str, Recorded]:
    """Send a film up to segment `at`, where it is refused; the sentence, and what there is."""
    sentinel = connect(site, made, "foreign")
    for number in range(at + 1):
        segment = made.segment(number, "foreign", sentinel.session_id, starts_us.get(number))
        sentinel.say(segment)
    error = sentinel.wait_for(ErrorMessage)
    assert error.code == "not-media"
    sentinel.close()
    return error.message, Recorded("foreign", sentinel.session_id)


def _listed(site: Site, session: Recorded, from_us: int, to_us: int) -> list[dict[str, object]]:
    """The segments of a time range."""
    page = site.get_json(f"{session.path}/segments?from={from_us}&to={to_us}&limit=5000")
    segments: list[dict[str, object]] = page["segments"]
    return segments


def _seconds(site: Site, address: str) -> float:
    """How long FFmpeg says that a film is."""
    command = [need("ffprobe"), "-v", "error", "-of", "json", "-show_entries", "format=duration"]
    run = subprocess.run([*command, f"{site.url}{address}"], capture_output=True, check=True)
    return float(json.loads(run.stdout)["format"]["duration"])


def _length_us(site: Site, session: Recorded) -> int:
    row = site.get_json(session.path)
    length: int = row["endTime"] - row["startTime"]
    return length


def test_clock_set_back_hours_ago(site: Site) -> None:
    """An hour back, where neither time is the server's: the session is refused there, and the next
    one has the other time. Each range has what was captured in it."""
    site.start_server()
    began = time.time_ns() // 1_000 - 3 * HOUR_US
    made = film(SECONDS, gop=20, began_us=began)
    half = FRAMES // 2
    why, first = _refused(site, made, {half: began + 4 * SECOND_US - HOUR_US}, half)
    assert "3600 s behind its media time" in why
    assert "begin a new session" in why
    site.recorded("foreign", first.session_id, half)
    second = record(site, film(4, began_us=began + 4 * SECOND_US - HOUR_US), "foreign")
    site.recorded("foreign", second.session_id, half)
    earlier, later = (began - HOUR_US, began), (began, began + SECONDS * SECOND_US)
    for session, empty, full in ((first, earlier, later), (second, later, earlier)):
        assert len(_listed(site, session, *full)) == half
        assert _listed(site, session, *empty) == []
        assert _length_us(site, session) == 4 * SECOND_US
        film_of = f"{session.path}/recording.mp4?start={full[0]}&end={full[1]}"
        assert abs(_seconds(site, film_of) - 4) < 0.5


@pytest.mark.parametrize(
    "off_us", [-HOUR_US, -YEAR_US, 5 * YEAR_US], ids=["an hour back", "a year back", "years ahead"]
)
def test_clock_steps_while_live(site: Site, off_us: int) -> None:
    """Where the server's clock agrees with what was before, the session goes on by its media time;
    the segments that it dates are marked, and nothing else is noticed."""
    site.start_server()
    began = time.time_ns() // 1_000 - SECONDS * SECOND_US
    made = film(SECONDS, gop=20, began_us=began)
    half = FRAMES // 2

    def start_us(number: int) -> int:
        return began + number * 200_000 + (off_us if number >= half else 0)

    session = record(site, made, "foreign", start_us=start_us)
    site.recorded("foreign", session.session_id, FRAMES)
    listed = _listed(site, session, began, began + SECONDS * SECOND_US)
    starts = [one["startTime"] for one in listed]
    assert starts == [began + number * 200_000 for number in range(FRAMES)]
    marks = [one["startTimeCorrected"] for one in listed]
    assert marks == [False] * half + [True] * half
    assert _length_us(site, session) == SECONDS * SECOND_US
    later = f"start={began + 4 * SECOND_US}&end={began + 6 * SECOND_US}"
    assert abs(_seconds(site, f"{session.path}/recording.mp4?{later}") - 2) < 0.5
    assert abs(_seconds(site, f"{session.path}/recording.mp4") - SECONDS) < 0.5


def test_server_ahead_for_a_moment(site: Site, tmp_path: Path) -> None:
    """A server's clock that is ten days ahead for a moment makes no later time right that is ahead:
    a sentinel whose clock is nine days ahead is dated by the server's, and marked."""
    clock = WallClock(tmp_path / "clock")
    site.start_server(environ=clock.environ)
    began = time.time_ns() // 1_000 - SECONDS * SECOND_US
    made = film(SECONDS, gop=20, began_us=began)
    sentinel = connect(site, made, "foreign")
    for first, last, days in ((0, 9, 0), (10, 10, 10), (11, 20, 0)):
        clock.set(days * 24 * 3_600)
        for number in range(first, last + 1):
            ahead_us = 9 * 24 * HOUR_US if number > 10 else 0
            start_us = began + number * 200_000 + ahead_us
            sentinel.say(made.segment(number, "foreign", sentinel.session_id, start_us))
        site.recorded("foreign", sentinel.session_id, last + 1)
    session = Recorded("foreign", sentinel.session_id)
    listed = _listed(site, session, began, began + SECONDS * SECOND_US)
    assert [one["startTime"] for one in listed] == [began + n * 200_000 for n in range(21)]
    assert [one["startTimeCorrected"] for one in listed] == [False] * 11 + [True] * 10
    sentinel.close()


def test_empty_battery(site: Site) -> None:
    """A computer that believes to be in another decade is recorded: of one ahead the times are when
    it came, of one behind what it says."""
    site.start_server()
    now = time.time_ns() // 1_000
    ahead = record(site, film(2, began_us=now + 9 * YEAR_US), "ahead")
    site.recorded("ahead", ahead.session_id, 10)
    listed = _listed(site, ahead, now - 10 * SECOND_US, now + 60 * SECOND_US)
    assert len(listed) == 10
    assert all(one["startTimeCorrected"] for one in listed)
    behind = record(site, film(2, began_us=1_000_000), "behind")
    site.recorded("behind", behind.session_id, 10)
    assert len(_listed(site, behind, 0, 10 * SECOND_US)) == 10
    for session in (ahead, behind):
        assert _length_us(site, session) == 2 * SECOND_US
        assert abs(_seconds(site, f"{session.path}/recording.mp4") - 2) < 0.5


@pytest.mark.parametrize("offset", [1_800_000_000, 3_600])
def test_media_time_of_day(site: Site, offset: int) -> None:
    """Media times of the time of day, or that go on where an hour has been before, are refused with
    that, and leave no empty session behind."""
    site.start_server()
    made = _later(film(1), offset)
    why, session = _refused(site, made, {0: made.began_us}, 0)
    assert f"is at {offset}.0 s of media time (tfdt)" in why
    assert "begins at 0" in why
    assert site.get(session.path)[0] == 404


def test_media_time_leaps(site: Site) -> None:
    """Media time that leaps by an hour in the middle is refused; what came before is a film of its
    own length, and not of an hour."""
    site.start_server()
    made = _later(film(4), 3_600, 10)
    why, session = _refused(site, made, {10: made.began_us + 2 * SECOND_US}, 10)
    assert "has leapt by 3600 s" in why
    site.recorded("foreign", session.session_id, 10)
    assert abs(_seconds(site, f"{session.path}/recording.mp4") - 2) < 0.5


def test_segments_overlap(site: Site) -> None:
    """A segment of several frames that begins before the last frame of the one before it is
    refused; those before it stay. Behind that frame, but within its duration, it is taken."""
    site.start_server()
    made = film(6, gop=10, movflags=EACH_INTERVAL)
    session = record(site, _later(made, -0.1, 2), "late-by-nothing")
    assert len(site.recorded("late-by-nothing", session.session_id, 3)) == 3
    why, session = _refused(site, _later(made, -0.3, 2), {}, 2)
    assert "before the last frame of the segment before it" in why
    site.recorded("foreign", session.session_id, 2)
