"""Looking back: the sessions of a sentinel, and one of them played from its recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Route

from tests.browser.onlooker import READ_BARCODE, Onlooker
from tests.rigs.daemons import Site

_FILM = "document.querySelector('.film video')"


def recorded(site: Site, segments: int = 40) -> str:
    """A session that has ended with at least so many segments; its id."""
    site.start_server()
    sentinel = site.start_sentinel("desk-12", "--name", "Anna", "--keyframe-interval", "2")
    session = site.live_session("desk-12")
    site.recorded("desk-12", session, segments)
    sentinel.stop()
    return session


def test_a_recording_plays_and_seeks(onlooker: Onlooker, site: Site) -> None:
    """Chosen in the list it plays from recording.mp4; a seek shows the picture of that time."""
    session = recorded(site)
    onlooker.open("#/recordings/desk-12")
    row = f"tr[data-session='{session}']"
    onlooker.until("(row) => document.querySelector(row)", row)
    onlooker.page.click(f"{row} a:text('Play')")
    onlooker.until(f"() => {_FILM}?.readyState >= 2 && {_FILM}.currentTime > 0.5")
    assert onlooker.page.evaluate("() => location.hash") == f"#/recordings/desk-12/{session}"
    source = onlooker.page.evaluate(f"() => {_FILM}.currentSrc")
    assert f"/api/v1/sentinels/desk-12/sessions/{session}/recording.mp4?last=" in source
    read = f"({READ_BARCODE})({_FILM})"
    first = onlooker.until(f"() => {read}")
    onlooker.page.evaluate(f"() => {{ {_FILM}.pause(); {_FILM}.currentTime = 5.1; }}")
    onlooker.until(f"() => !{_FILM}.seeking && {_FILM}.readyState >= 2")
    later = onlooker.until(f"() => {{ const c = {read}; return c && c.number >= 24 ? c : null; }}")
    assert later["number"] <= 27
    assert later["timeMs"] > first["timeMs"]
    onlooker.page.reload()
    onlooker.until(f"() => {_FILM}?.readyState >= 2")


def test_damage_costs_itself(onlooker: Onlooker, site: Site) -> None:
    """A recording in which damage is met goes on without what is damaged."""
    onlooker.forgiven += ["500", "ERR_CONTENT_LENGTH_MISMATCH", "ERR_INCOMPLETE"]
    session = recorded(site)
    (part,) = site.data.glob("recordings/desk-12/*/part-0000.mp4")
    base = f"/api/v1/sentinels/desk-12/sessions/{session}"
    data, hurt = bytearray(part.read_bytes()), site.get(f"{base}/segments/24")[2]
    data[data.index(hurt) + len(hurt) // 2] ^= 1
    part.write_bytes(data)
    onlooker.open(f"#/recordings/desk-12/{session}")
    onlooker.until(f"() => {_FILM}?.readyState >= 2")
    onlooker.page.evaluate(f"() => {{ {_FILM}.pause(); {_FILM}.currentTime = 7.1; }}")
    read = f"({READ_BARCODE})({_FILM})"
    onlooker.until(f"() => {{ const c = {read}; return c && c.number >= 32; }}")
    assert "cannot be played" not in onlooker.said()


def test_the_sessions_are_listed_with_their_gaps(onlooker: Onlooker, site: Site) -> None:
    """Newest first, with length, size, state and the gaps that a killed server left."""
    onlooker.forgiven += ["net::ERR_CONNECTION_REFUSED", "WebSocket connection to .* failed"]
    server = site.start_server()
    sentinel = site.start_sentinel("desk-12", "--name", "Anna")
    cut = site.live_session("desk-12")
    site.recorded("desk-12", cut, 10)
    server.kill()
    sentinel.kill()
    site.start_server()
    sentinel = site.start_sentinel("desk-12", "--name", "Anna")
    live = site.live_session("desk-12")
    site.recorded("desk-12", live, 10)
    onlooker.open("#/recordings/desk-12")
    onlooker.until("() => document.querySelectorAll('tr[data-session]').length === 2")
    listed = onlooker.page.evaluate(
        "() => [...document.querySelectorAll('tr[data-session]')].map((r) => r.dataset.session)"
    )
    assert listed == [live, cut]
    onlooker.until(
        "(cut) => document.querySelector(`tr[data-session='${cut}'] .gaps`).textContent"
        " === '1 gap'",
        cut,
    )
    assert onlooker.page.inner_text(f"tr[data-session='{live}'] .state") == "Live"
    assert onlooker.page.inner_text(f"tr[data-session='{live}'] .gaps") == "none"
    assert "B" in onlooker.page.inner_text(f"tr[data-session='{cut}'] .size")
    # A live session grows: the list is read again by itself.
    length = onlooker.page.inner_text(f"tr[data-session='{live}'] .length")
    onlooker.until(
        "([live, length]) =>"
        " document.querySelector(`tr[data-session='${live}'] .length`).textContent !== length",
        [live, length],
    )


def test_a_recording_can_be_taken_away(onlooker: Onlooker, site: Site, tmp_path: Path) -> None:
    """The download link saves the file that the server names."""
    session = recorded(site, 10)
    onlooker.open("#/recordings/desk-12")
    row = f"tr[data-session='{session}']"
    onlooker.until("(row) => document.querySelector(row)", row)
    with onlooker.page.expect_download() as download:
        onlooker.page.click(f"{row} a:text('Download')")
    assert download.value.suggested_filename.startswith("desk-12-")
    saved = tmp_path / "saved.mp4"
    download.value.save_as(saved)
    path = f"/api/v1/sentinels/desk-12/sessions/{session}/recording.mp4"
    assert saved.read_bytes() == site.get(path)[2]


def test_a_live_session_is_played_up_to_now(onlooker: Onlooker, site: Site) -> None:
    """The file of a session that goes on is pinned, so that it does not change while it plays."""
    site.start_server()
    site.start_sentinel("desk-12")
    session = site.live_session("desk-12")
    site.recorded("desk-12", session, 15)
    asked: list[tuple[int, str]] = []
    onlooker.page.on(
        "response",
        lambda answer: (
            asked.append((answer.status, answer.url)) if "recording.mp4" in answer.url else None
        ),
    )
    onlooker.open(f"#/recordings/desk-12/{session}")
    onlooker.until(f"() => {_FILM}?.readyState >= 2 && {_FILM}.currentTime > 0.3")
    onlooker.page.evaluate(f"() => {{ {_FILM}.currentTime = 2 }}")
    onlooker.until(f"() => !{_FILM}.seeking && {_FILM}.currentTime >= 2")
    films = {url for status, url in asked if status in (200, 206)}
    assert len(films) == 1, asked
    assert "version=" in films.pop()
    onlooker.page.click("a:text('Close')")
    onlooker.until("() => document.querySelector('.film').hidden")


def next_list(onlooker: Onlooker) -> None:
    """Wait until the page has read its list once more."""
    with onlooker.page.expect_response("**/api/v1/sessions?**"):
        pass
    onlooker.page.wait_for_timeout(0)


def test_what_is_not_recorded_is_said(onlooker: Onlooker, site: Site) -> None:
    """A sentinel without recordings, and a session that does not exist, are told in words; these
    stay until they are dismissed, whatever the list says meanwhile."""
    onlooker.forgiven += ["404"]
    site.start_server()
    onlooker.open("#/recordings/desk-12")
    onlooker.until("() => document.body.innerText.includes('Nothing has been recorded yet.')")
    onlooker.go("#/recordings/desk-12/AAAAAAAAAAAAAAAAAAAA")
    refused = "There is no session AAAAAAAAAAAAAAAAAAAA of desk-12"
    onlooker.until("(refused) => document.body.innerText.includes(refused)", refused)
    next_list(onlooker)
    assert refused in onlooker.said()
    onlooker.page.click("a:text('Close')")
    onlooker.until("(refused) => !document.body.innerText.includes(refused)", refused)


def test_a_recording_that_cannot_be_played_says_so(onlooker: Onlooker, site: Site) -> None:
    """For as long as it is open, and no longer."""
    onlooker.forgiven += ["404"]
    session = recorded(site, 5)
    gone = {"status": 404, "body": "{}"}
    onlooker.page.route("**/recording.mp4", lambda route: route.fulfill(**gone))
    onlooker.open(f"#/recordings/desk-12/{session}")
    told = "This recording cannot be played."
    onlooker.until("(told) => document.body.innerText.includes(told)", told)
    next_list(onlooker)
    assert told in onlooker.said()
    onlooker.go("#/recordings/desk-12")
    onlooker.until("(told) => !document.body.innerText.includes(told)", told)


def test_times_are_those_of_the_film(onlooker: Onlooker, site: Site) -> None:
    """The time under a recording counts from the first picture of the film, as the server tells it:
    the first segments of a session may be such as cannot be shown."""
    session = recorded(site, 5)
    listed = json.loads(site.get(f"/api/v1/sentinels/desk-12/sessions/{session}")[2])
    start = listed["startTime"] + 3_600_000_000

    def answer(route: Route) -> None:
        if route.request.method == "HEAD":
            route.fulfill(status=200, headers={"VidLink-Start": str(start)})
        else:
            route.continue_()

    onlooker.page.route("**/recording.mp4", answer)
    onlooker.open(f"#/recordings/desk-12/{session}")
    onlooker.until(f"() => {_FILM}?.readyState >= 2 && {_FILM}.currentTime > 0.3")
    told = """async (start) => (await import("/words.js")).moment(
        start + document.querySelector("video").currentTime * 1e6)"""
    onlooker.page.evaluate(f"() => {_FILM}.pause()")
    expected = onlooker.page.evaluate(told, start)
    onlooker.until(
        "(told) => document.querySelector('.film .place').textContent === told", expected
    )


def test_more_gaps_than_are_named(onlooker: Onlooker, site: Site) -> None:
    """Of a session with more gaps than one answer names their number is said to be a lowest one."""
    gap = {"cause": "missing", "detail": "", "startTime": 5, "endTime": 6}
    gaps = [{"first": 2 * n + 1, "last": 2 * n + 1, **gap} for n in range(60)]
    row = session_row(1, 0, 0, gaps=gaps, listedTo=119)
    onlooker.page.route(
        "**/api/v1/sessions?**",
        lambda route: route.fulfill(body=json.dumps({"sessions": [row], "next": None})),
    )
    onlooker.page.route(
        "**/api/v1/sentinels/desk-12/sessions/*", lambda route: route.fulfill(body=json.dumps(row))
    )
    site.start_server()
    onlooker.open("#/recordings/desk-12")
    onlooker.until("() => document.querySelector('td.gaps')?.textContent === 'at least 60 gaps'")
    missing = onlooker.page.inner_text("tr[data-session] .missing")
    assert missing.startswith("at least 60 segments")
    row["listedTo"] = None
    onlooker.page.reload()
    onlooker.until("() => document.querySelector('td.gaps')?.textContent === '60 gaps'")


def session_row(number: int, started: int, start: int | None, **fields: Any) -> dict[str, Any]:
    """A session as it is listed; times in seconds."""
    return {
        "sentinelId": "desk-12",
        "sessionId": str(number) * 20,
        "name": "Anna",
        "state": "ended",
        "startedTime": started * 1_000_000,
        "endedTime": None,
        "startTime": None if start is None else start * 1_000_000,
        "endTime": None if start is None else (start + 60) * 1_000_000,
        "segmentCount": 0 if start is None else 300,
        "lastSequence": None if start is None else 299,
        "size": 1000,
        "spans": [],
        "gaps": [],
        **fields,
    }


def test_sessions_stand_in_the_order_of_the_times_that_are_shown(
    browser: Browser, site: Site
) -> None:
    """Newest first by what the rows say, each in the reader's zone with its own offset, and the
    head of the table claims none for all seasons. A session that is deleted leaves the list, and
    without the server nothing is said to be live."""
    somebody = Onlooker(browser, site.url, timezone_id="Europe/Berlin")
    somebody.forgiven += ["503"]
    summer, winter = 1_795_000_000 - 15_552_000, 1_795_000_000
    # Captured in another order than their sessions were first heard of.
    listed = [
        session_row(1, winter + 50, winter + 100),
        session_row(2, winter + 40, winter + 300, state="live"),
        session_row(3, winter + 30, None),
        session_row(4, winter + 60, summer),
    ]
    answer: dict[str, Any] = {"status": 200}

    def sessions(route: Route) -> None:
        route.fulfill(**answer, body=json.dumps({"sessions": listed, "next": None}))

    somebody.page.route("**/api/v1/sessions?**", sessions)
    somebody.page.route(
        "**/api/v1/sentinels/desk-12/sessions/*",
        lambda route: route.fulfill(body=json.dumps(session_row(1, 0, 0))),
    )
    site.start_server()
    somebody.open("#/recordings/desk-12")
    somebody.until("() => document.querySelectorAll('tr[data-session]').length === 4")
    read = """() => [...document.querySelectorAll("tr[data-session]")]
        .map((row) => [row.dataset.session[0], row.querySelector("time").textContent])"""
    assert somebody.page.evaluate(read) == [
        ["2", "2026-11-18 12:11:40 +01:00"],
        ["1", "2026-11-18 12:08:20 +01:00"],
        ["3", "2026-11-18 12:07:10 +01:00"],
        ["4", "2026-05-22 13:06:40 +02:00"],
    ]
    assert somebody.page.inner_text(".sessions thead th") == "Started"
    listed.pop(0)
    answer["status"] = 503
    next_list(somebody)
    somebody.until("() => /The list is as of .* \\+01:00/.test(document.body.innerText)")
    assert somebody.page.inner_text("tr[data-session^='2'] .state") == "Was live"
    answer["status"] = 200
    next_list(somebody)
    somebody.until("() => document.querySelectorAll('tr[data-session]').length === 3")
    assert somebody.page.inner_text("tr[data-session^='2'] .state") == "Live"
    somebody.leave()
