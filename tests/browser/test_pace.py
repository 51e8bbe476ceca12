"""Where the page puts frames and when it shows them, for any layout, without media or real time."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page

#: Five frames a second.
PERIOD = 0.2


def place(page: Page, shown: list[float], breaks: list[int] | None = None) -> tuple[Any, int]:
    """Where axis.js puts frames that are shown at these media times, and the depth it finds.

    :param breaks: before these, frames are missing.
    """
    found = page.evaluate(
        """async ([shown, duration, breaks]) => {
            const { Axis } = await import("/axis.js");
            const axis = new Axis();
            const places = shown.map((shown, n) => {
                if (breaks.includes(n)) axis.interrupt();
                return axis.place({ shown, duration });
            });
            return [places, axis.depth];
        }""",
        [shown, PERIOD, breaks or []],
    )
    return found[0], found[1]


def pattern(mini_gops: list[list[int]]) -> list[float]:
    """Media times, in the order of decoding, of frames whose places in each group are these."""
    times: list[float] = []
    for group in mini_gops:
        begin = len(times)
        times += [(begin + at) * PERIOD for at in group]
    return times


def in_order(times: list[float], places: list[dict[str, float]]) -> list[float]:
    """The places of pictures on the axis, by the times at which they are shown."""
    pairs = sorted(zip(times, places, strict=True), key=lambda pair: pair[0])
    return [where["shown"] for _, where in pairs]


def test_frames_in_order_are_one_step_apart(modules: Page) -> None:
    """However late each of them comes: no stall leaves a hole on the axis."""
    places, depth = place(modules, [0, 0.2, 0.4, 7.9, 8.1])
    assert depth == 0
    for one, next_one in pairwise(places):
        assert next_one["shown"] - one["shown"] == pytest.approx(0.047)
        assert next_one["decode"] - one["decode"] == pytest.approx(0.047)


@pytest.mark.parametrize("groups", range(20))
def test_pictures_keep_their_order_on_the_axis(modules: Page, groups: int) -> None:
    """Whatever the order of decoding, pictures lie on the axis as they are shown, decode times rise
    and stay close enough for players, and no frame is shown before it is decoded."""
    seed = random.Random(groups)
    order = [[0]]
    for _ in range(30):
        size = seed.randint(1, 8)
        order.append([size - 1, *seed.sample(range(size - 1), size - 1)])
    times = pattern(order)
    places, depth = place(modules, times)
    assert 0 < depth <= 16
    shown = in_order(times, places)
    assert all(one < other for one, other in pairwise(shown))
    for one, other in pairwise(places):
        assert 0 < other["decode"] - one["decode"] < 2 * 0.047
    assert all(where["decode"] < where["shown"] for where in places)


def test_what_leads_in_to_the_first_keyframe_is_left_out(modules: Page) -> None:
    """Frames that are shown before all that is known cannot be decoded; later ones are placed."""
    places, _ = place(modules, [1.0, 0.6, 0.8, 1.2])
    assert [where is None for where in places] == [False, True, True, False]


def test_after_missing_frames_nothing_is_put_between_those_before(modules: Page) -> None:
    """The keyframe behind a hole of an hour is one step behind the newest frame."""
    times = [0, 0.6, 0.2, 0.4, 3600]
    places, _ = place(modules, times, [4])
    assert places[4]["shown"] - places[1]["shown"] == pytest.approx(0.047)


def give(page: Page, segments: list[list[Any]], is_paced: bool = False) -> list[int]:
    """When each frame is due that pace.js is given: `segments` are `[arrival in ms, durations]`."""
    found: list[int] = page.evaluate(
        """async ([segments, isPaced]) => {
            const { Pace } = await import("/pace.js");
            const pace = new Pace();
            pace.isPaced = isPaced;
            const times = [];
            const next = [...segments];
            for (let now = 0; now < 60_000; now++) {
                while (next.length > 0 && next[0][0] <= now) {
                    pace.push(next.shift()[1].map((duration) => ({ duration })), now);
                }
                for (const _ of pace.take(now)) times.push(now);
            }
            return times;
        }""",
        [segments, is_paced],
    )
    return found


def test_one_frame_is_due_when_it_arrives(modules: Page) -> None:
    """However many come at once: the newest is shown."""
    segments = [[at, [PERIOD]] for at in (0, 200, 1000, 1000, 1000, 1001)]
    assert give(modules, segments) == [0, 200, 1000, 1000, 1000, 1001]


def test_frames_of_one_segment_are_as_far_apart_as_they_were_captured(modules: Page) -> None:
    """The first at once, and the next segment goes on where the last one ends."""
    segments = [[1000 * n, [0.25] * 4] for n in range(3)]
    assert give(modules, segments) == [250 * n for n in range(12)]


def test_what_comes_too_early_is_caught_up_with(modules: Page) -> None:
    """After a late segment the next one, in time again, is shown a little quicker."""
    due = give(modules, [[0, [0.2] * 5], [1200, [0.2] * 5], [2000, [0.2] * 5], [3000, [0.2] * 5]])
    assert due[5] == 1200
    assert all(160 <= later - one <= 201 for one, later in pairwise(due[5:15]))
    assert due[15] - 3000 <= 10


def test_what_has_piled_up_too_far_is_due_at_once(modules: Page) -> None:
    """After a stall of the network the page is at what is current, not seconds behind."""
    segments = [[0, [PERIOD]], *([5000, [PERIOD]] for _ in range(20)), [5200, [PERIOD]]]
    due = give(modules, segments, is_paced=True)
    assert due[-1] <= 5200 + 1000
    assert due == sorted(due)
    assert len(due) == 22


def patience(
    page: Page,
    segments: list[tuple[int, int]],
    framerate: float = 5,
    wanted: float | None = None,
) -> float:
    """Seconds for which a picture is not stale after `(arrival, duration)` in milliseconds."""
    return float(
        page.evaluate(
            """async ([segments, framerate, wanted]) => {
                const { Rhythm } = await import("/rhythm.js");
                const rhythm = new Rhythm();
                for (const [now, durationMs] of segments) {
                    rhythm.arrived(now, { durationMs, framerate });
                }
                return rhythm.patienceMs(wanted) / 1000;
            }""",
            [segments, framerate, wanted],
        )
    )


STEADY = [(200 * n, 200) for n in range(9)]
#: Five frames at once every four seconds.
HANDFULS = [(4_000 * n + k, 200) for n in range(3) for k in range(5)]


@pytest.mark.parametrize(
    ("segments", "framerate", "seconds"),
    [
        ([], 5, 3),
        (STEADY, 5, 3),
        ([(0, 4_000)], 5, 12),
        ([(5_000 * n, 0) for n in range(3)], 0.2, 15),
        (HANDFULS, 5, 8),
        ([*STEADY, (30_000, 200), (30_200, 200)], 5, 3),
        ([*((5_000 * n, 5_000) for n in range(5)), (20_200, 200), (20_400, 200)], 5, 3),
        ([*HANDFULS, *((9_000 + 500 * n, 200) for n in range(130))], 5, 3),
    ],
)
def test_patience_goes_by_what_is_declared_and_what_is_usual(
    modules: Page, segments: list[tuple[int, int]], framerate: float, seconds: float
) -> None:
    """As the server has it: three segments or frames, two of the pauses that are a habit, and one
    pause is none."""
    assert patience(modules, segments, framerate) == pytest.approx(seconds, abs=0.02)


def test_patience_is_that_of_a_slower_rate_that_has_been_asked_for(modules: Page) -> None:
    """From then on, and not before the first segment of a faster one."""
    assert patience(modules, STEADY, 5, wanted=0.2) == 15
    assert patience(modules, [(5_000 * n, 5_000) for n in range(3)], 0.2, wanted=5) == 15


@pytest.mark.parametrize(
    ("time_us", "expected"),
    [
        (1_792_886_400_000_000, "2026-10-25 02:00:00 +02:00"),
        (1_792_890_000_000_000, "2026-10-25 02:00:00 +01:00"),
    ],
)
def test_times_for_people_have_an_offset(modules: Page, time_us: int, expected: str) -> None:
    """An hour that comes twice is told apart."""
    read = "async (t) => (await import('/words.js')).moment(t)"
    assert modules.evaluate(read, time_us) == expected
