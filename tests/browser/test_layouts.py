"""Other people's layouts on the live page: frames that are shown in another order than they are
decoded in, segments of many frames, and what happens between sessions of them.

The films are a stock FFmpeg's, and what is on the screen is read from the pictures.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from threading import Event, Thread

import pytest

from tests.browser.onlooker import READ_BARCODE, Onlooker
from tests.browser.test_live import PROMPT_MS
from tests.rigs.daemons import Site
from tests.rigs.foreign import EACH_FRAME, EACH_INTERVAL, Film, film
from tests.rigs.sentinel import LiveSentinel
from vidlink.model import InitSegment

#: Encoders may find that a still picture needs no B-frames; these always make them.
ALWAYS = ("-x264-params", "scenecut=0:b-adapt=0")
SENTINEL = "foreign"

#: Every number that comes on the screen, with the time, the state that the page calls it, and the
#: age that it tells.
_RECORD = """
() => {
  const read = READ_BARCODE;
  self.seen = [];
  const look = () => {
    requestAnimationFrame(look);
    const screen = document.querySelector("figure.screen");
    const video = screen?.querySelector("video.shown");
    const code = video ? read(video) : null;
    const last = self.seen.at(-1);
    const state = screen?.dataset.state;
    if (code === null || (last && last[1] === code.number && last[2] === state)) return;
    const now = performance.timeOrigin + performance.now();
    self.seen.push([now, code.number, state, screen.dataset.pictureTimeUs / 1000]);
  };
  look();
}
""".replace("READ_BARCODE", READ_BARCODE)


@dataclass(frozen=True, slots=True)
class Look:
    """A picture came on the screen, or was called something else."""

    at_ms: float
    number: int
    state: str
    taken_ms: float


class Broadcast:
    """A sentinel that sends films, each segment when its last frame has been captured."""

    def __init__(self, site: Site) -> None:
        self._stop = Event()
        self._sentinel = LiveSentinel(site.ws, SENTINEL, secrets.token_urlsafe(18))
        self._session_id = self._sentinel.session_id
        self._thread: Thread | None = None
        self.began_ms = 0.0

    def begin(self, films: Film, pause: tuple[int, float] | None = None, lost: int = -1) -> None:
        """Begin a session with this film.

        :param pause: before a segment, for so many seconds, in which nothing is captured.
        :param lost: a segment that is never sent.
        """
        self.finish()
        self._stop.clear()
        self._sentinel.say(InitSegment(SENTINEL, self._session_id, films.init))
        self.began_ms = time.time() * 1000
        self._thread = Thread(target=self._send, args=(films, self._session_id, pause, lost))
        self._thread.start()
        self._session_id = secrets.token_urlsafe(18)

    def finish(self) -> None:
        """Send no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def close(self) -> None:
        """Send no more, and leave."""
        self.finish()
        self._sentinel.close()

    def _send(
        self, films: Film, session_id: str, pause: tuple[int, float] | None, lost: int
    ) -> None:
        began = time.time()
        for number, piece in enumerate(films.pieces):
            if pause is not None and number == pause[0]:
                began += pause[1]
            due = began + (piece.media_time + piece.ticks) / films.timescale
            if self._stop.wait(max(0, due - time.time())):
                return
            start_us = round((began + piece.media_time / films.timescale) * 1_000_000)
            if number != lost:
                self._sentinel.say(films.segment(number, SENTINEL, session_id, start_us))


@contextmanager
def broadcast(site: Site) -> Iterator[Broadcast]:
    """A server, and a sentinel that sends films to it."""
    site.start_server()
    sender = Broadcast(site)
    try:
        yield sender
    finally:
        sender.close()


def watch(onlooker: Onlooker) -> None:
    """Open the live picture, and record what is shown once the list, too, has heard of it."""
    onlooker.open(f"#/watch/{SENTINEL}")
    onlooker.until_picture()
    onlooker.until_state("live")
    onlooker.page.evaluate(_RECORD)


def seen(onlooker: Onlooker, until: int) -> list[Look]:
    """What has been on the screen since, once picture `until` is."""
    onlooker.until("(until) => self.seen.some((look) => look[1] >= until)", until)
    return [Look(*each) for each in onlooker.page.evaluate("() => self.seen")]


def assert_smooth(looks: list[Look], period_ms: float) -> list[int]:
    """Pictures came in order, hardly one is missing, and as far apart as they were captured; their
    numbers. Of 25 a second this looks at not every one itself."""
    pictures = [looks[0]] + [b for a, b in pairwise(looks) if a.number != b.number]
    numbers = [picture.number for picture in pictures]
    assert all(earlier < later for earlier, later in pairwise(numbers)), numbers
    share = 0.9 if period_ms >= 100 else 0.6
    assert len(numbers) >= share * (numbers[-1] - numbers[0] + 1), numbers
    pauses = [later.at_ms - earlier.at_ms for earlier, later in pairwise(pictures)]
    assert statistics.median(pauses) == pytest.approx(period_ms, rel=0.25), pauses
    return numbers


@pytest.mark.parametrize(
    ("made", "forced_ms"),
    [
        # Decoded in another order, one frame a segment: with an edit list, with signed offsets,
        # and B-frames that need B-frames.
        ({"bframes": 2, "more": ALWAYS}, 600),
        (
            {
                "bframes": 2,
                "more": ALWAYS,
                "gop": 20,
                "movflags": f"{EACH_FRAME}+negative_cts_offsets",
            },
            600,
        ),
        (
            {
                "bframes": 3,
                "gop": 8,
                "more": ("-x264-params", "scenecut=0:b-adapt=0:b-pyramid=normal"),
            },
            800,
        ),
        # Several frames in each.
        ({"gop": 10, "movflags": EACH_INTERVAL}, 2_000),
        (
            {"gop": 20, "movflags": EACH_INTERVAL, "bframes": 2, "more": ALWAYS, "seconds": 20},
            4_600,
        ),
        ({"gop": 25, "rate": 25, "movflags": EACH_INTERVAL, "bframes": 2, "more": ALWAYS}, 1_200),
        ({"gop": 50, "rate": 25}, 40),
    ],
    ids=["b", "negative", "pyramid", "two-seconds", "four-seconds-b", "one-second-b", "quick"],
)
def test_every_layout_is_shown_smoothly(
    onlooker: Onlooker, site: Site, made: dict[str, object], forced_ms: float
) -> None:
    """Each picture is on the screen for as long as it was captured for, in order and never called
    stale, and no later than the layout forces."""
    settings: dict[str, object] = {"seconds": 14, **made}
    films = film(**settings)  # type: ignore[arg-type]
    with broadcast(site) as sender:
        sender.begin(films)
        site.live_session(SENTINEL)
        watch(onlooker)
        until = onlooker.until_picture().number + round(5 * films.rate)
        looks = seen(onlooker, until)
        assert_smooth(looks, 1000 / films.rate)
        assert {look.state for look in looks} == {"live"}
        ages = [look.at_ms - sender.began_ms - look.number * 1000 / films.rate for look in looks]
        assert statistics.median(ages) < forced_ms + PROMPT_MS
        # What the page says of when a picture was taken is what the sender said.
        told = [look.taken_ms - sender.began_ms - look.number * 1000 / films.rate for look in looks]
        assert abs(statistics.median(told)) < 1000 / films.rate


def test_a_stall_and_a_loss_are_survived(onlooker: Onlooker, site: Site) -> None:
    """With B-frames too: after a stall the next picture is shown and the rest in time, and what
    depends on a lost one is not shown."""
    films = film(16, rate=5, gop=10, bframes=2, more=ALWAYS)
    with broadcast(site) as sender:
        sender.begin(films, pause=(25, 2.0), lost=44)
        site.live_session(SENTINEL)
        watch(onlooker)
        looks = seen(onlooker, 65)
    numbers = [look.number for look in looks]
    assert numbers == sorted(numbers)
    assert set(range(numbers[0], 40)) <= set(numbers)
    assert set(range(50, 64)) <= set(numbers)
    late = [look.at_ms - sender.began_ms - 2_000 - look.number * 200 for look in looks]
    assert statistics.median(late[-10:]) < 600 + PROMPT_MS


def test_another_layout_in_the_next_session(onlooker: Onlooker, site: Site) -> None:
    """From one frame a segment to many with B-frames and back: each session is shown as it is."""
    plain = film(6, rate=5, gop=10)
    grouped = film(8, rate=5, gop=5, bframes=2, movflags=EACH_INTERVAL, more=ALWAYS)
    with broadcast(site) as sender:
        sender.begin(plain)
        site.live_session(SENTINEL)
        watch(onlooker)
        seen(onlooker, 15)
        for films in (grouped, plain):
            session = onlooker.screen()["session"]
            sender.begin(films)
            onlooker.until_picture(f"p.session !== '{session}'")
            onlooker.page.evaluate("() => { self.seen = []; }")
            assert_smooth(seen(onlooker, 20), 200)
