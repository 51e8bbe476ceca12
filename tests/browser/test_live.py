"""The live picture: that it moves, whose it is, and that nothing freezes it."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from signal import SIGCONT, SIGSTOP

import pytest
from playwright.sync_api import WebSocketRoute

from tests.browser.onlooker import Onlooker
from tests.rigs.daemons import Daemon, Site

#: Five times the delay from capture to screen that the page promises, in milliseconds.
PROMPT_MS = 5 * 250
#: Five times the time from a click to the current picture that the page promises.
JOIN_MS = 5 * 500


def watch(onlooker: Onlooker, site: Site, *options: str) -> Daemon:
    """A server, one sentinel, and the onlooker in front of its live picture."""
    site.start_server()
    sentinel = site.start_sentinel("desk-12", *options)
    site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    return sentinel


def test_the_picture_moves(onlooker: Onlooker, site: Site) -> None:
    """What is on the screen was just captured, and it goes on, while the page says LIVE."""
    watch(onlooker, site)
    first = onlooker.until_picture()
    later = onlooker.until_picture(f"p.number >= {first.number + 10}")
    assert later.age_ms < PROMPT_MS
    onlooker.until_state("live")
    screen = onlooker.screen()
    assert screen["sentinel"] == "desk-12"
    assert screen["session"] == site.live_session("desk-12")
    assert abs(int(screen["pictureTimeUs"]) / 1000 - later.time_ms) < PROMPT_MS
    assert "LIVE" in onlooker.said()
    assert onlooker.page.title() == "desk-12: Live \N{EN DASH} VidLink"


def test_frames_that_are_seconds_apart_are_shown_at_once(onlooker: Onlooker, site: Site) -> None:
    """At two seconds a frame each is on the screen as promptly as at five a second."""
    watch(onlooker, site, "--fps", "0.5")
    number = onlooker.until_picture().number
    for _ in range(3):
        picture = onlooker.until_picture(f"p.number > {number}")
        number = picture.number
        assert picture.age_ms < PROMPT_MS


@pytest.mark.parametrize("stall_seconds", [0.5, 1, 3])
def test_a_stall_freezes_no_longer_than_it_lasts(
    onlooker: Onlooker, site: Site, stall_seconds: float
) -> None:
    """After a sentinel stood still its next picture is shown, not only the next keyframe's."""
    sentinel = watch(onlooker, site, "--keyframe-interval", "60")
    number = onlooker.until_picture().number
    onlooker.until_picture(f"p.number >= {number + 5}")
    onlooker.page.evaluate(
        """() => {
            self.shown = [performance.now()];
            const screen = document.querySelector("figure.screen");
            new MutationObserver(() => self.shown.push(performance.now()))
                .observe(screen, { attributeFilter: ["data-picture-time-us"] });
        }"""
    )
    onlooker.until("() => self.shown.length > 5")
    sentinel.send(SIGSTOP)
    time.sleep(stall_seconds)  # This is the stall.
    sentinel.send(SIGCONT)
    before = onlooker.page.evaluate("() => self.shown.length")
    onlooker.until("(before) => self.shown.length > before + 10", before)
    times = onlooker.page.evaluate("() => self.shown")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert max(pauses) > stall_seconds * 800
    assert max(pauses) < stall_seconds * 1000 + PROMPT_MS
    assert onlooker.until_picture().age_ms < PROMPT_MS


def test_joining_between_keyframes_shows_the_current_picture(
    onlooker: Onlooker, site: Site
) -> None:
    """However old the last keyframe is, a click shows what is now, not what was then."""
    site.start_server()
    site.start_sentinel("desk-12", "--keyframe-interval", "10")
    session = site.live_session("desk-12")
    onlooker.open()
    onlooker.until("() => document.querySelector('[data-sentinel=\"desk-12\"] a')")
    for _ in range(3):
        segments = len(site.recorded("desk-12", session, 1))
        site.recorded("desk-12", session, segments + 15)
        clicked = time.time() * 1000
        onlooker.page.click("[data-sentinel='desk-12'] a")
        picture = onlooker.until_picture()
        assert picture.now_ms - clicked < JOIN_MS
        assert picture.time_ms > clicked - 200 - PROMPT_MS / 5
        onlooker.go("#/")
        onlooker.until("() => document.querySelector('figure.screen') === null")


#: Looks at every frame drawn whether a picture stands under a name that is not its own.
_SUSPECT = """
(widths) => {
  self.wrong = [];
  self.looks = 0;
  const look = () => {
    for (const video of document.querySelectorAll("video")) {
      const screen = video.closest("figure");
      const expected = screen === null ? null : widths[screen.dataset.sentinel];
      const name = screen?.querySelector("h1").textContent;
      if (video.videoWidth === 0) continue;
      self.looks += 1;
      if (video.videoWidth !== expected || !screen.textContent.includes(screen.dataset.sentinel)) {
        self.wrong.push([screen?.dataset.sentinel, name, video.videoWidth]);
      }
    }
    requestAnimationFrame(look);
  };
  look();
}
"""


def test_a_picture_is_never_under_another_name(onlooker: Onlooker, site: Site) -> None:
    """Switching between two sentinels, however quickly, never mixes them up."""
    widths = {"desk-a": 640, "desk-b": 480}
    site.start_server()
    site.start_sentinel("desk-a", "--source", "test:640x360", "--name", "Anna")
    site.start_sentinel("desk-b", "--source", "test:480x270", "--name", "Berta")
    for sentinel_id in widths:
        site.live_session(sentinel_id)
    onlooker.open("#/watch/desk-a")
    assert onlooker.until_picture().width == 640
    onlooker.page.evaluate(_SUSPECT, widths)
    seed = random.Random(7)
    for switch in range(20):
        sentinel_id = f"desk-{'ba'[switch % 2]}"
        onlooker.go(f"#/watch/{sentinel_id}")
        onlooker.page.wait_for_timeout(seed.choice([0, 5, 40, 150, 400]))
        if switch % 5 == 4:
            onlooker.until_picture(f"p.sentinel === '{sentinel_id}'")
    last = onlooker.until_picture()
    assert (last.sentinel, last.name, last.width) == ("desk-a", "Anna", 640)
    assert onlooker.page.evaluate("() => self.wrong") == []
    assert onlooker.page.evaluate("() => self.looks") > 20
    assert len(onlooker.page.query_selector_all("video")) == 1


def test_late_messages_of_another_sentinel_are_dropped(onlooker: Onlooker, site: Site) -> None:
    """What is still under way for the sentinel before changes nothing of the one that is shown."""
    late: list[str | bytes] = []
    sides: list[WebSocketRoute] = []

    def route(page_side: WebSocketRoute) -> None:
        sides.append(page_side)
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            mark = b"desk-a" if isinstance(message, bytes) else "desk-a"
            if mark in message and len(late) < 20:  # type: ignore[operator]
                late.append(message)
            page_side.send(message)

        server_side.on_message(pass_on)

    onlooker.page.route_web_socket("**/ws/proctor", route)
    site.start_server()
    site.start_sentinel("desk-a", "--source", "test:640x360")
    site.start_sentinel("desk-b", "--source", "test:480x270")
    for sentinel_id in ("desk-a", "desk-b"):
        site.live_session(sentinel_id)
    onlooker.open("#/watch/desk-a")
    number = onlooker.until_picture().number
    onlooker.until_picture(f"p.number > {number + 3}")
    onlooker.go("#/watch/desk-b")
    number = onlooker.until_picture("p.sentinel === 'desk-b'").number
    onlooker.page.evaluate(_SUSPECT, {"desk-a": 640, "desk-b": 480})
    for message in late:
        sides[0].send(message)
    picture = onlooker.until_picture(f"p.number > {number + 10}")
    assert (picture.sentinel, picture.width) == ("desk-b", 480)
    assert onlooker.page.evaluate("() => self.wrong") == []


def test_the_frame_rate_and_a_keyframe_can_be_asked_for(onlooker: Onlooker, site: Site) -> None:
    """The controls reach the sentinel, and the list tells the new rate."""
    watch(onlooker, site)
    onlooker.page.select_option("#framerate", "0.5")
    onlooker.page.wait_for_timeout(0)
    onlooker.until("() => document.querySelector('#framerate').value === '0.5'")
    session = site.live_session("desk-12")
    path = f"/api/v1/sentinels/desk-12/sessions/{session}/segments?limit=5000"

    def keyframes() -> int:
        segments = site.get_json(path)["segments"]
        return sum(segment["keyframe"] for segment in segments)

    onlooker.until_picture(f"p.number > {onlooker.until_picture().number}")
    before = keyframes()
    onlooker.page.click("button.keyframe")
    onlooker.until_picture(f"p.number > {onlooker.until_picture().number + 1}")
    assert keyframes() > before
    status = site.status_of("desk-12")
    assert status["framerate"] == 0.5


def test_another_rate_is_what_a_picture_is_stale_by(onlooker: Onlooker, site: Site) -> None:
    """Asked to go slower the sentinel is never called stale between two of its pictures; asked to
    go faster, and gone silent then, it is soon, whatever pauses it made before."""
    sentinel = watch(onlooker, site)
    number = onlooker.until_picture().number
    onlooker.page.evaluate(_STATES)
    onlooker.page.select_option("#framerate", "0.2")
    slow = onlooker.until_picture(f"p.number > {number + 2}").number
    onlooker.until_picture(f"p.number > {slow}")
    assert "stale" not in onlooker.page.evaluate("() => self.states")
    onlooker.page.select_option("#framerate", "5")
    onlooker.until_picture(f"p.number > {onlooker.until_picture().number + 5}")
    sentinel.send(SIGSTOP)
    silent = time.monotonic()
    try:
        onlooker.until_state("stale")
        onlooker.until(
            "() => document.querySelector('tr[data-sentinel]').dataset.state === 'stale'"
        )
        assert 2 < time.monotonic() - silent < 6
    finally:
        sentinel.send(SIGCONT)


_STATES = """() => {
    self.states = [];
    const look = () => self.states.push(
        document.querySelector("figure.screen").dataset.state,
        document.querySelector("tr[data-sentinel]").dataset.state,
    );
    new MutationObserver(look).observe(
        document.body, { subtree: true, attributeFilter: ["data-state"] },
    );
}"""
