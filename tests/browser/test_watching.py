"""What a supervisor sees of a live screen in a real browser, whatever happens behind it."""

from __future__ import annotations

import signal
import time

import pytest

from tests.browser.onlooker import PATIENCE_SECONDS, Onlooker
from tests.daemons import Site, until

#: Pictures are 0.2 s apart; a frame that takes five times as long is one too late.
FRAME_SECONDS = 0.2
SLACK = 5


def test_picture_moves(site: Site, onlooker: Onlooker) -> None:
    """A sentinel appears in the list by itself, a click shows it, and its picture goes on."""
    site.start_server()
    onlooker.open()
    site.start_sentinel("desk-1", "--name", "Desk one")
    onlooker.page.get_by_text("Desk one").first.click()
    first = onlooker.until_picture()
    later = onlooker.until_picture(f"p.number > {first.number + 10}")
    assert (later.sentinel, later.name) == ("desk-1", "Desk one")
    assert later.age_ms < 250 * SLACK
    onlooker.until_state("live")
    assert "Desk one" in onlooker.page.title()


def test_server_restart(site: Site, onlooker: Onlooker) -> None:
    """After a restart of the server the picture comes back by itself, in a new session."""
    server = site.start_server()
    site.start_sentinel("desk-1")
    onlooker.open("#/watch/desk-1")
    before = onlooker.until_picture()
    onlooker.forgiven.append("ERR_CONNECTION_REFUSED|WebSocket connection|Failed to load")
    server.kill()
    onlooker.until("() => document.body.dataset.connection === 'waiting'")
    site.start_server()
    after = onlooker.until_picture(
        f"p.session !== '{before.session}' && p.time_ms > {before.time_ms}",
        seconds=3 * PATIENCE_SECONDS,
    )
    assert after.sentinel == "desk-1"
    onlooker.until_state("live")


def test_sentinel_restart(site: Site, onlooker: Onlooker) -> None:
    """When the sentinel is killed the page says so; its successor is shown without a click."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1")
    onlooker.open("#/watch/desk-1")
    before = onlooker.until_picture()
    sentinel.kill()
    onlooker.until_state("offline")
    site.start_sentinel("desk-1")
    after = onlooker.until_picture(f"p.session !== '{before.session}'")
    assert after.time_ms > before.time_ms
    onlooker.until_state("live")


def test_right_sentinel(site: Site, onlooker: Onlooker) -> None:
    """Switching quickly between two sentinels, no picture is ever seen under the other's name."""
    site.start_server()
    sizes = {"left": "320x240", "right": "640x480"}
    for name, size in sizes.items():
        site.start_sentinel(name, "--source", f"test:{size}")
    onlooker.open("#/watch/left")
    onlooker.until_picture()
    # What is on the screen is looked at in every frame of the browser, not only now and then.
    onlooker.page.evaluate(
        """(widths) => {
          window.wrong = [];
          const look = () => {
            const screen = document.querySelector("figure.screen");
            const video = screen?.querySelector("video.shown");
            if (video && video.videoWidth && video.videoWidth !== widths[screen.dataset.sentinel])
              window.wrong.push([screen.dataset.sentinel, video.videoWidth]);
            requestAnimationFrame(look);
          };
          look();
        }""",
        {name: int(size.split("x")[0]) for name, size in sizes.items()},
    )
    for turn in range(20):
        name = ("right", "left")[turn % 2]
        onlooker.go(f"#/watch/{name}")
        if turn % 5 == 4:
            picture = onlooker.until_picture()
            assert (picture.sentinel, picture.name) == (name, name)
            assert picture.width == int(sizes[name].split("x")[0])
    assert onlooker.page.evaluate("window.wrong") == []


@pytest.mark.parametrize("stall_seconds", [0.5, 1.0, 3.0])
def test_stall(site: Site, onlooker: Onlooker, stall_seconds: float) -> None:
    """A capture that stalls stops the picture for no longer than the stall itself."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--keyframe-interval", "60")
    onlooker.open("#/watch/desk-1")
    first = onlooker.until_picture()
    onlooker.until_picture(f"p.number > {first.number + 10}")
    sentinel.send(signal.SIGSTOP)
    time.sleep(stall_seconds)
    sentinel.send(signal.SIGCONT)
    resumed_ms = onlooker.page.evaluate("performance.timeOrigin + performance.now()")
    after = onlooker.until_picture(f"p.time_ms > {resumed_ms}")
    assert after.age_ms < 250 * SLACK
    assert after.now_ms - resumed_ms < (FRAME_SECONDS * 1000 + 250) * SLACK
    onlooker.until_picture(f"p.number > {after.number + 5}")


def test_join_mid_stream(site: Site, onlooker: Onlooker) -> None:
    """A join seconds after the last keyframe shows the current picture, and soon."""
    site.start_server()
    site.start_sentinel("desk-1", "--keyframe-interval", "60")
    session = site.live_session("desk-1")
    until(lambda: len(site.recorded("desk-1", session, 1)) > 25, what="a long group of pictures")
    onlooker.open()
    onlooker.until("() => document.body.dataset.connection === 'connected'")
    asked_ms = onlooker.page.evaluate("performance.timeOrigin + performance.now()")
    onlooker.go("#/watch/desk-1")
    seen = onlooker.until_picture()
    assert seen.now_ms - asked_ms < 500 * SLACK
    # The first picture that is shown is the newest there was, not the one of the keyframe.
    assert seen.age_ms < 500 * SLACK


def test_hidden_tab(site: Site, onlooker: Onlooker) -> None:
    """A tab that was behind another one for a while shows the present as soon as it is seen."""
    site.start_server()
    site.start_sentinel("desk-1")
    onlooker.open("#/watch/desk-1")
    first = onlooker.until_picture()
    other = onlooker.context.new_page()
    other.bring_to_front()
    session = site.live_session("desk-1")
    newest = site.recorded("desk-1", session, 1)[-1]["sequence"]
    site.recorded("desk-1", session, newest + 15)
    onlooker.page.bring_to_front()
    back = onlooker.until_picture(f"p.number > {first.number + 10}")
    assert back.age_ms < 250 * SLACK
    other.close()


def test_hostile_name(site: Site, onlooker: Onlooker) -> None:
    """A name with a script in it is shown as the text that it is."""
    site.start_server()
    name = "<img src=x onerror=\"document.title='owned'\">"
    site.start_sentinel("desk-1", "--name", name, "--group", "<b>room</b>")
    onlooker.open("#/watch/desk-1")
    picture = onlooker.until_picture()
    assert picture.name == name
    assert onlooker.page.locator("img").count() == 0
    assert onlooker.page.title() != "owned"


def test_recording(site: Site, onlooker: Onlooker) -> None:
    """From the live picture to its recordings: the session is listed, plays, and can be sought."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--keyframe-interval", "1")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 20)
    sentinel.stop()
    onlooker.open(f"#/recordings/desk-1/{session}")
    onlooker.until("() => document.querySelector('video[controls]')?.readyState >= 2")
    length = onlooker.page.evaluate("document.querySelector('video[controls]').duration")
    assert length > 3
    onlooker.page.evaluate(
        "(at) => { document.querySelector('video[controls]').currentTime = at; }", length * 0.8
    )
    onlooker.until(
        """(at) => {
          const video = document.querySelector("video[controls]");
          return !video.seeking && video.readyState >= 2 && Math.abs(video.currentTime - at) < 1;
        }""",
        length * 0.8,
    )


def test_control(site: Site, onlooker: Onlooker) -> None:
    """The page's rate and keyframe controls reach the encoder, seen in what is recorded."""
    site.start_server()
    site.start_sentinel("desk-1", "--keyframe-interval", "3600")
    session = site.live_session("desk-1")
    onlooker.open("#/watch/desk-1")
    onlooker.until_picture()
    onlooker.page.get_by_label("Frames a second").select_option("1")

    def slow() -> bool:
        return site.recorded("desk-1", session, 1)[-1]["framerate"] == 1

    until(slow, what="a frame a second")
    before = site.recorded("desk-1", session, 1)[-1]["sequence"]
    onlooker.page.get_by_role("button", name="Request keyframe").click()

    def asked() -> bool:
        rows = site.recorded("desk-1", session, 1)
        return any(row["keyframe"] for row in rows if row["sequence"] > before)

    until(asked, what="a keyframe")
