"""What is missing, and recording in trouble, as somebody at the page sees it."""

from __future__ import annotations

import time

from tests.browser.onlooker import Onlooker
from tests.rigs.daemons import Site


def texts(onlooker: Onlooker, selector: str) -> list[str]:
    """What is written in all that `selector` finds."""
    read = "(s) => [...document.querySelectorAll(s)].map((node) => node.textContent)"
    found: list[str] = onlooker.page.evaluate(read, selector)
    return found


def test_a_killed_server(onlooker: Onlooker, site: Site) -> None:
    """A session that was cut short says so in plain words in the list, on its time bar and below
    its film; the time until the next one is said to be without a connection."""
    onlooker.forgiven += ["net::ERR_CONNECTION_REFUSED", "WebSocket connection to .* failed"]
    server = site.start_server()
    sentinel = site.start_sentinel("desk-12", "--name", "Anna")
    cut = site.live_session("desk-12")
    site.recorded("desk-12", cut, 10)
    server.kill()
    sentinel.kill()
    time.sleep(6.0)
    site.start_server()
    site.start_sentinel("desk-12", "--name", "Anna")
    live = site.live_session("desk-12")
    site.recorded("desk-12", live, 10)
    onlooker.open("#/recordings/desk-12")
    missing = f"tr[data-session='{cut}'] .missing"
    onlooker.until("(s) => document.querySelector(s)?.textContent", missing)
    assert texts(onlooker, missing) == ["the end missing: the server stopped"]
    assert texts(onlooker, f"tr[data-session='{live}'] .missing") == [""]
    (away,) = texts(onlooker, "tr.away:not([hidden])")
    assert away.startswith("Not connected from 20")
    onlooker.page.click(f"tr[data-session='{cut}'] a:text('Play')")
    onlooker.until("() => document.querySelector('.time-bar span') !== null")
    told = onlooker.page.get_attribute(".time-bar", "aria-label")
    assert told == "Time bar: the end missing: the server stopped"
    (gap,) = texts(onlooker, ".gap-list li")
    assert gap.endswith("the server stopped (the server was stopped)")
    for width in (1280, 390):
        onlooker.page.set_viewport_size({"width": width, "height": 800})
        for selector in (missing, ".time-bar", ".gap-list li", "tr.away:not([hidden]) td"):
            box = onlooker.page.query_selector(selector)
            place = None if box is None else box.bounding_box()
            assert place is not None, (width, selector)
            assert place["x"] + place["width"] <= width, (width, selector)


def test_trouble(onlooker: Onlooker, site: Site) -> None:
    """When nothing reaches the disk the bar says so and why, and the row of each sentinel; both
    stop by themselves when it does again."""
    site.start_server()
    site.start_sentinel("desk-12", "--name", "Anna")
    session = site.live_session("desk-12")
    site.recorded("desk-12", session, 5)
    onlooker.open()
    row = "document.querySelector(\"tr[data-sentinel='desk-12']\")"
    onlooker.until(f"() => {row}?.dataset.recording === 'ok'")
    away = site.data.with_name("away")
    site.data.rename(away)
    onlooker.until(f"() => {row}.dataset.recording === 'trouble'")
    alarm = "document.getElementById('alarm').textContent"
    onlooker.until(f"() => {alarm}.includes('1 of 1 sessions not recorded')")
    onlooker.until(f"() => {alarm}.includes('the data folder is gone')")
    assert texts(onlooker, "tr[data-sentinel='desk-12'] .recording") == ["Trouble"]
    for width in (1280, 390):
        onlooker.page.set_viewport_size({"width": width, "height": 800})
        box = onlooker.page.locator("#alarm").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
        assert box["height"] < 60
    assert site.get("/readyz")[0] == 503
    away.rename(site.data)
    onlooker.until(f"() => {row}.dataset.recording === 'ok' && {alarm} === ''")
    assert site.get("/readyz")[0] == 200
