"""What goes wrong while somebody watches: it mends itself, without a reload, and is said."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP

import pytest
from playwright.sync_api import Browser, WebSocketRoute

from tests.browser.devtools import DevTools
from tests.browser.onlooker import PATIENCE_SECONDS, PICTURE, UNTIL, Onlooker
from tests.rigs.daemons import Site
from tests.rigs.needs import need

#: What Chromium itself says of a server that is not there.
GONE = ["net::ERR_CONNECTION_REFUSED", "WebSocket connection to .* failed"]
#: Silence is noticed after ten seconds at most.
SILENCE_SECONDS = 5 * 12.0


def watch(onlooker: Onlooker, site: Site, *options: str) -> None:
    """A server, one sentinel, and the onlooker in front of its live picture."""
    site.start_server()
    site.start_sentinel("desk-12", *options)
    site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    # What the page keeps must survive: a reload would lose this.
    onlooker.page.evaluate("() => { self.neverReloaded = true; }")


def test_a_server_that_comes_back_is_found_again(onlooker: Onlooker, site: Site) -> None:
    """Killed and started again on its port: the same page shows the sentinel's new session."""
    onlooker.forgiven += GONE
    site.start_server().kill()
    server = site.start_server()
    site.start_sentinel("desk-12")
    session = site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    onlooker.page.evaluate("() => { self.neverReloaded = true; }")
    onlooker.until("() => document.querySelector(\"tr[data-sentinel='desk-12']\")")
    server.kill()
    onlooker.until_state("lost")
    assert "Connection lost at" in onlooker.said()
    assert "trying again in" in onlooker.said()
    # The last picture of the same sentinel stays, and is marked as old.
    assert onlooker.until_picture().session == session
    said = onlooker.said()
    assert "NO CONNECTION" in said
    # What is not known now is not claimed, and it is said when it was.
    when = r"states unknown since \d\d:\d\d:\d\d [+-]\d\d:\d\d; then \d live, \d stale"
    assert re.search(when, said), said
    words = onlooker.page.inner_text("tr[data-sentinel='desk-12'] .how")
    assert re.fullmatch(r"Unknown\s+was (live|stale)", words.strip()), words
    assert onlooker.page.inner_text(".controls .recording") == "Recording unknown"
    site.start_server()
    picture = onlooker.until_picture(f"p.session !== '{session}'", seconds=5 * PATIENCE_SECONDS)
    assert picture.sentinel == "desk-12"
    onlooker.until_state("live")
    assert onlooker.page.evaluate("() => self.neverReloaded")


def test_a_sentinel_that_comes_back_is_shown_again(onlooker: Onlooker, site: Site) -> None:
    """It is offline in words, its last picture stays, and its next session replaces it."""
    site.start_server()
    sentinel = site.start_sentinel("desk-12")
    session = site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    last = onlooker.until_picture()
    # After every change of the page there is a picture.
    onlooker.page.evaluate(
        """() => {
            self.empty = 0;
            const screen = document.querySelector("figure.screen");
            new MutationObserver(() => {
                if (screen.querySelector("video.shown") === null) self.empty += 1;
            }).observe(screen, { childList: true, subtree: true, attributes: true });
        }"""
    )
    sentinel.kill()
    onlooker.until_state("offline")
    assert "OFFLINE" in onlooker.said()
    kept = onlooker.picture()
    assert kept is not None
    assert kept.session == session
    assert kept.number >= last.number
    site.start_sentinel("desk-12")
    onlooker.until_picture(f"p.session !== '{session}'")
    onlooker.until_state("live")
    assert onlooker.page.evaluate("() => self.empty") == 0


def test_a_sentinel_that_stands_still_is_stale(onlooker: Onlooker, site: Site) -> None:
    """An old picture is never called live: the page says so and how old it is."""
    site.start_server()
    sentinel = site.start_sentinel("desk-12")
    site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    onlooker.until_state("live")
    sentinel.send(SIGSTOP)
    onlooker.until_state("stale")
    words = onlooker.page.inner_text("figure.screen .age")
    assert float(words.split()[1]) >= 3, words
    sentinel.send(SIGCONT)
    onlooker.until_state("live")


def test_one_that_was_unknown_appears_when_it_connects(onlooker: Onlooker, site: Site) -> None:
    """An address may be opened before the sentinel was ever seen: the page says that, and waits."""
    site.start_server()
    onlooker.open("#/watch/desk-12")
    onlooker.until_state("unknown")
    told = "No screen of this id has been seen yet. It is shown here as soon as it connects."
    onlooker.until("(told) => document.querySelector('.veil').textContent === told", told)
    site.start_sentinel("desk-12")
    onlooker.until_picture()
    onlooker.until_state("live")


def test_a_connection_that_falls_silent_is_replaced(onlooker: Onlooker, site: Site) -> None:
    """A socket that stays open and says nothing is noticed, given up and opened anew."""
    routes: list[WebSocketRoute] = []
    deaf = {"now": False}

    def route(page_side: WebSocketRoute) -> None:
        routes.append(page_side)
        silent = len(routes) == 1
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if not (silent and deaf["now"]):
                page_side.send(message)

        server_side.on_message(pass_on)

    onlooker.page.route_web_socket("**/ws/proctor", route)
    watch(onlooker, site)
    number = onlooker.until_picture().number
    deaf["now"] = True
    look = "() => document.body.dataset.connection !== 'connected'"
    onlooker.until(look, seconds=SILENCE_SECONDS)
    onlooker.until_picture(f"p.number > {number + 10}")
    assert len(routes) == 2
    assert onlooker.page.evaluate("() => self.neverReloaded")


@pytest.mark.parametrize("place", ["moof", "mdat"])
def test_media_that_cannot_be_decoded_is_joined_anew(
    onlooker: Onlooker, site: Site, place: str
) -> None:
    """Whether the page or the decoder chokes on a segment, the picture comes back by itself."""
    spoil = {"next": False}

    def route(page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if spoil["next"] and isinstance(message, bytes) and message[0] == 2:
                spoil["next"] = False
                # Behind moof a box size, behind mdat the length of the first NAL unit.
                at = message.index(place.encode()) + 4
                message = message[:at] + b"\xff" * 4 + message[at + 4 :]
            page_side.send(message)

        server_side.on_message(pass_on)

    onlooker.page.route_web_socket("**/ws/proctor", route)
    watch(onlooker, site, "--keyframe-interval", "60")
    number = onlooker.until_picture().number
    spoil["next"] = True
    onlooker.until_picture(f"p.number > {number + 15}")
    assert not spoil["next"]
    onlooker.until_state("live")
    assert onlooker.page.evaluate("() => self.neverReloaded")


def test_a_video_that_was_paused_goes_on(onlooker: Onlooker, site: Site) -> None:
    """A media key, or the browser itself, may pause a video: it is played again, nothing more."""
    watch(onlooker, site)
    number = onlooker.until_picture().number
    onlooker.page.evaluate(
        "() => { self.video = document.querySelector('video.shown'); self.video.pause(); }"
    )
    onlooker.until_picture(f"p.number > {number + 10} && p.now_ms - p.time_ms < 1250")
    assert onlooker.page.evaluate("() => self.video.isConnected && !self.video.paused")


def test_a_playhead_that_is_far_away_is_put_right(onlooker: Onlooker, site: Site) -> None:
    """Hours ahead, where a frame cannot be stretched to, as after hours of watching."""
    watch(onlooker, site)
    onlooker.page.evaluate(
        "() => { document.querySelector('video.shown').currentTime += 3 * 3600; }"
    )
    number = onlooker.until_picture().number
    onlooker.until("() => document.querySelector('video.shown').currentTime < 3600")
    onlooker.until_picture(f"p.number > {number + 10} && p.now_ms - p.time_ms < 1250")
    assert onlooker.page.evaluate("() => self.neverReloaded")


def test_a_page_that_was_frozen_shows_what_is_now(onlooker: Onlooker, site: Site) -> None:
    """As after the lid of a laptop was closed: no old pictures are played back."""
    watch(onlooker, site)
    number = onlooker.until_picture().number
    tools = onlooker.context.new_cdp_session(onlooker.page)
    tools.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(4)  # This is the sleep.
    tools.send("Page.setWebLifecycleState", {"state": "active"})
    onlooker.until_picture(f"p.number > {number + 20} && p.now_ms - p.time_ms < 1250")
    onlooker.until_state("live")


@pytest.fixture
def tools(browser: Browser) -> Iterator[DevTools]:
    """A browser of its own, whose tabs can be hidden."""
    opened = DevTools(need("chromium"))
    yield opened
    opened.close()


def test_a_tab_that_was_hidden_shows_what_is_now(tools: DevTools, site: Site) -> None:
    """Back in front, the tab is at the live picture at once, whatever was throttled."""
    site.start_server()
    site.start_sentinel("desk-12", "--keyframe-interval", "60")
    site.live_session("desk-12")
    tab = tools.open(f"{site.url}/#/watch/desk-12")

    def until_picture(condition: str) -> dict[str, float]:
        look = f"() => {{ const p = ({PICTURE})(); return p && ({condition}) ? p : null; }}"
        seen: dict[str, float] = tab.evaluate(UNTIL % look, [None, PATIENCE_SECONDS])
        assert seen, condition
        return seen

    number = until_picture("true")["number"]
    other = tools.open("about:blank")
    assert tab.evaluate("() => document.visibilityState") == "hidden"
    time.sleep(8)  # This is how long it is hidden.
    assert other.evaluate("() => document.visibilityState") == "visible"
    tab.bring_to_front()
    started = time.monotonic()
    until_picture(f"p.number > {number + 30} && p.now_ms - p.time_ms < 1250")
    assert time.monotonic() - started < 5
    assert tab.evaluate("() => document.querySelector('figure.screen').dataset.state") == "live"
