"""Looking back: the sessions of a sentinel, and one of them played from its recording."""

from __future__ import annotations

from pathlib import Path

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
    assert source.endswith(f"/api/v1/sentinels/desk-12/sessions/{session}/recording.mp4")
    read = f"({READ_BARCODE})({_FILM})"
    first = onlooker.until(f"() => {read}")
    onlooker.page.evaluate(f"() => {{ {_FILM}.pause(); {_FILM}.currentTime = 5.1; }}")
    onlooker.until(f"() => !{_FILM}.seeking && {_FILM}.readyState >= 2")
    later = onlooker.until(f"() => {{ const c = {read}; return c && c.number >= 24 ? c : null; }}")
    assert later["number"] <= 27
    assert later["timeMs"] > first["timeMs"]
    onlooker.page.reload()
    onlooker.until(f"() => {_FILM}?.readyState >= 2")


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


def test_what_is_not_recorded_is_said(onlooker: Onlooker, site: Site) -> None:
    """A sentinel without recordings, and a session that does not exist, are told in words."""
    onlooker.forgiven += ["404"]
    site.start_server()
    onlooker.open("#/recordings/desk-12")
    onlooker.until("() => document.body.innerText.includes('Nothing has been recorded yet.')")
    onlooker.go("#/recordings/desk-12/AAAAAAAAAAAAAAAAAAAA")
    onlooker.until("() => /no session|not found|unknown/i.test(document.body.innerText)")
