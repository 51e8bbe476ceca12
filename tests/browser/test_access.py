"""Logging in and out: who gets to the page, what it shows to whom, and what strangers cannot do.

Users and tokens are made by the commands, as an operator makes them, and the daemon is a real one.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.onlooker import Onlooker
from tests.browser.test_other_origins import pages
from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site
from tests.rigs.foreign import film
from tests.rigs.sentinel import LiveSentinel
from vidlink.model import InitSegment

#: What stands before and behind the sign is a field's name and value, where a form sends it.
PASSWORD = "correct=horse battery"
#: Within so many seconds a credential that has ended lets nobody watch.
ENDED_SECONDS = 5.0
#: What the browser says of every 401, and of the socket that it gets.
REFUSED = ["the server responded with a status of 401", "WebSocket connection to .* failed"]

ANNA = ("anna", "--role", "proctor", "--group", "Room 1")
BERT = ("bert", "--role", "proctor", "--group", "Room 2")
ADA = ("ada", "--role", "auditor")


def add_user(site: Site, name: str, *options: str) -> None:
    """Have a user who may log in."""
    words = ["user", "add", name, *options, "--data", str(site.data)]
    done = vidlink(site, *words, input=f"{PASSWORD}\n".encode())
    assert done.returncode == 0, done


def add_token(site: Site, sentinel_id: str, group: str) -> str:
    """The token of a sentinel in a group."""
    words = ["token", "add", sentinel_id, "--group", group, "--data", str(site.data)]
    done = vidlink(site, *words)
    assert done.returncode == 0, done
    return done.stdout.decode().strip()


@contextmanager
def sending(site: Site, sentinel_id: str, token: str) -> Iterator[None]:
    """A sentinel that is live, by its token."""
    pictures = film(30, rate=5, gop=10)
    session = secrets.token_urlsafe(18)
    header = [f"Authorization: Bearer {token}"]
    sentinel = LiveSentinel(site.ws, sentinel_id, session, header=header)
    stop = Event()

    def send() -> None:
        sentinel.say(InitSegment(sentinel_id, session, pictures.init))
        began = time.time()
        for number, piece in enumerate(pictures.pieces):
            due = began + piece.media_time / pictures.timescale
            if stop.wait(max(0, due - time.time())):
                return
            sentinel.say(pictures.segment(number, sentinel_id, session, round(due * 1_000_000)))

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sentinel.close()


def type_in(onlooker: Onlooker, name: str, password: str = PASSWORD) -> None:
    """Log in as a person does: type, and press Enter."""
    onlooker.until("() => document.getElementById('login') !== null")
    onlooker.page.fill("#user", name)
    onlooker.page.fill("#password", password)
    onlooker.page.press("#password", "Enter")


def log_in(onlooker: Onlooker, name: str, place: str = "#/") -> None:
    """Open the page, and log in at where that leads."""
    onlooker.forgiven += REFUSED
    onlooker.open(place)
    onlooker.until("() => location.pathname === '/login.html'")
    type_in(onlooker, name)
    onlooker.until("() => location.pathname === '/'")
    onlooker.until(
        "(name) => document.querySelector('.bar nav:not([hidden]) a')?.textContent === name", name
    )


def other(browser: Browser, site: Site) -> Onlooker:
    """Somebody else, at a browser of their own."""
    somebody = Onlooker(browser, site.url)
    somebody.forgiven += REFUSED
    return somebody


def test_the_way_in_and_back(onlooker: Onlooker, site: Site) -> None:
    """Whoever opens an address is asked for name and password, is told in words what was wrong,
    and then gets where they wanted to; nothing breaks the page's policy."""
    add_user(site, *ANNA)
    site.start_server()
    onlooker.forgiven += [*REFUSED, "status of 400"]
    onlooker.open("#/watch/desk-1")
    onlooker.until("() => location.pathname === '/login.html'")
    page = onlooker.page
    onlooker.until("() => document.activeElement.id === 'user'")
    assert page.get_attribute("#user", "autocomplete") == "username"
    assert page.get_attribute("#password", "autocomplete") == "current-password"
    for name, password in [("anna", "wrong password"), ("nobody", PASSWORD), ("x" * 64, "?" * 900)]:
        type_in(onlooker, name, password)
        onlooker.until(
            "() => document.getElementById('said').textContent === 'Name or password is wrong.'"
        )
        onlooker.until("() => document.querySelector('form').ariaBusy === null")
        onlooker.until("() => document.activeElement.id === 'password'")
        assert page.get_attribute("#password", "aria-invalid") == "true"
    assert page.context.cookies() == []
    type_in(onlooker, "anna")
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-1'")
    assert page.url == f"{site.url}/#/watch/desk-1"
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("vidlink", True, "Strict")
    assert (cookie["secure"], cookie["path"]) == (False, "/")
    assert page.evaluate("() => document.cookie") == ""
    # Neither the log of the server nor the page has kept what was typed.
    assert PASSWORD not in site.folder.joinpath("vidlink-server-0.log").read_text()


def test_the_way_back_leads_nowhere_else(onlooker: Onlooker, site: Site) -> None:
    """Whatever the address of the login names as the place to go on at, it stays on the page; also
    for whoever has logged in already, and need not do it again."""
    add_user(site, *ANNA)
    site.start_server()
    onlooker.forgiven += REFUSED
    places = ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "\\\\evil.example"]
    for place in places:
        onlooker.page.goto(f"{site.url}/login.html#{place}")
        if place is places[0]:
            type_in(onlooker, "anna")
        onlooker.until("() => document.querySelector('.bar nav:not([hidden])') !== null")
        assert onlooker.page.url.startswith(f"{site.url}/#")


def test_the_login_needs_nothing_of_the_rest(onlooker: Onlooker, site: Site) -> None:
    """With every other file of the page gone one can still log in; with the server gone it says
    so, and too many tries are told apart from a wrong password."""
    add_user(site, *ANNA)
    server = site.start_server()
    onlooker.forgiven += [*REFUSED, "status of 404", "status of 429", "ERR_", "MIME type"]
    own = re.compile(r"/(login\.html|login\.js|api/v1/.*)")

    def serve(route: Any) -> None:
        path = route.request.url.removeprefix(site.url)
        if own.fullmatch(path):
            route.continue_()
        else:
            route.fulfill(status=404, body="gone")

    onlooker.page.route("**/*", serve)
    onlooker.page.goto(f"{site.url}/login.html")
    onlooker.until("() => document.activeElement.id === 'user'")
    error = {"error": {"code": "too-many-tries", "message": "too many"}}
    onlooker.page.route(
        "**/api/v1/login", lambda route: route.fulfill(status=429, json=error), times=1
    )
    says = "(text) => document.getElementById('said').textContent.startsWith(text)"
    type_in(onlooker, "anna")
    onlooker.until(says, "Too many passwords were tried. Wait for a minute")
    type_in(onlooker, "anna")
    onlooker.until("() => document.body.textContent === 'gone'")
    [cookie] = onlooker.context.cookies()
    assert cookie["name"] == "vidlink"
    onlooker.context.clear_cookies()
    onlooker.page.goto(f"{site.url}/login.html")
    onlooker.until("() => document.activeElement.id === 'user'")
    server.stop()
    type_in(onlooker, "anna")
    onlooker.until(says, "The server cannot be reached.")


def test_no_password_is_typed_in_the_clear(onlooker: Onlooker, site: Site) -> None:
    """Over plain HTTP from elsewhere nothing can be typed; it is said what to do."""
    site.start_server("--no-auth")
    add_user(site, *ANNA)
    files = {name: site.get(f"/{name}") for name in ("login.html", "login.js", "style.css")}

    def serve(route: Any) -> None:
        name = route.request.url.removeprefix("http://elsewhere.example/")
        _, headers, body = files[name]
        route.fulfill(body=body, content_type=headers["Content-Type"])

    onlooker.page.route("http://elsewhere.example/**", serve)
    onlooker.page.goto("http://elsewhere.example/login.html")
    onlooker.until("() => document.getElementById('said').textContent.includes('https://')")
    assert onlooker.page.is_disabled("#password")


def test_logged_out_elsewhere_while_watching(
    onlooker: Onlooker, site: Site, browser: Browser
) -> None:
    """Whoever is logged out in another place while watching sees no more within 5 s; the page
    says so, keeps picture and place, and goes on there after the next login."""
    add_user(site, *ANNA)
    token = add_token(site, "desk-1", "Room 1")
    site.start_server()
    with sending(site, "desk-1", token):
        log_in(onlooker, "anna", "#/watch/desk-1")
        onlooker.until_picture()
        elsewhere = other(browser, site)
        log_in(elsewhere, "anna", "#/logins")
        rows = "document.querySelectorAll('tr[data-login]')"
        elsewhere.until(f"() => {rows}.length === 2")
        assert "This browser" in elsewhere.page.inner_text("tr[data-login]:nth-child(1)")
        row = elsewhere.page.inner_text("tr[data-login]:nth-child(2)")
        assert "127.0.0.1" in row
        assert re.search(r"Chrome [0-9]+ on Linux", row)
        elsewhere.page.click("tr[data-login]:nth-child(2) button")
        line = "document.querySelector('p.ended:not([hidden])')"
        onlooker.until(f"() => {line} !== null", seconds=ENDED_SECONDS)
        elsewhere.until(f"() => {rows}.length === 1")
        onlooker.until_state("lost")
        last = onlooker.picture()
        assert last is not None
        assert "The login of anna has ended." in onlooker.said()
        assert not onlooker.page.is_visible(".bar nav")
        onlooker.page.click("p.ended a")
        type_in(onlooker, "anna")
        assert onlooker.until_picture().number > last.number
        assert onlooker.page.url == f"{site.url}/#/watch/desk-1"
        # Everywhere: here at once, there within seconds, and a login in another tab is enough.
        onlooker.go("#/logins")
        onlooker.page.click("text=Log out everywhere")
        onlooker.until("() => location.pathname === '/login.html'")
        assert onlooker.page.url == f"{site.url}/login.html"
        elsewhere.until(f"() => {line} !== null", seconds=ENDED_SECONDS)
        tab = elsewhere.context.new_page()
        tab.goto(f"{site.url}/login.html")
        tab.fill("#user", "anna")
        tab.fill("#password", PASSWORD)
        with tab.expect_navigation():
            tab.press("#password", "Enter")
        elsewhere.page.evaluate("() => dispatchEvent(new Event('focus'))")
        elsewhere.until("() => document.body.dataset.connection === 'connected'")
        elsewhere.until(f"() => {line} === null")
        elsewhere.leave()


def test_groups_side_by_side(onlooker: Onlooker, site: Site, browser: Browser) -> None:
    """Two proctors at one server: each sees its own groups' sentinels and nothing of the others':
    not in the list, the counts, the filter, nor by their address."""
    add_user(site, *ANNA)
    add_user(site, *BERT)
    tokens = {name: add_token(site, name, group) for name, group in ROOMS.items()}
    site.start_server()
    bert = other(browser, site)
    with sending(site, "desk-1", tokens["desk-1"]), sending(site, "desk-2", tokens["desk-2"]):
        log_in(onlooker, "anna")
        log_in(bert, "bert")
        for somebody, own, others in [(onlooker, "desk-1", "desk-2"), (bert, "desk-2", "desk-1")]:
            live = "(id) => document.querySelector(`tr[data-sentinel='${id}']`)?.dataset.state"
            somebody.until(f"(id) => ({live})(id) === 'live'", own)
            said = somebody.said()
            assert "1 live, 0 stale, 0 offline" in said
            assert others not in said
            assert ROOMS[others] not in said
            somebody.page.fill("#filter", others)
            somebody.until("() => document.body.innerText.includes('Nothing fits this filter.')")
            somebody.page.fill("#filter", "")
            somebody.go(f"#/watch/{own}")
            somebody.until_picture()
            somebody.go(f"#/watch/{others}")
            somebody.until(
                "() => document.querySelector('.veil').textContent.includes('right to watch')"
            )
            assert somebody.picture() is None
            somebody.go(f"#/recordings/{others}")
            somebody.until(
                "() => document.body.innerText.includes('Nothing has been recorded yet.')"
            )
    bert.leave()


ROOMS = {"desk-1": "Room 1", "desk-2": "Room 2"}


def test_an_auditor_is_told_what_the_login_is_for(onlooker: Onlooker, site: Site) -> None:
    """Without the right to watch there is no list and no socket, whatever the address; the page
    says what the login may do, and one can log out."""
    add_user(site, *ADA)
    site.start_server()
    sockets: list[str] = []
    onlooker.page.on("websocket", lambda socket: sockets.append(socket.url))
    log_in(onlooker, "ada", "#/watch/desk-1")
    onlooker.until("() => document.body.innerText.includes('Screens are not part of it')")
    assert onlooker.page.locator(".list, .watch, .connection:visible").count() == 0
    for name in ("who did what", "what was deleted", "what is kept for how long"):
        address = onlooker.page.locator(f"a:text-is('{name}')").evaluate("(a) => a.href")
        assert onlooker.page.request.get(address).status == 200
    onlooker.go("#/logins")
    onlooker.until("() => document.querySelectorAll('tr[data-login]').length === 1")
    onlooker.page.click("nav button")
    onlooker.until("() => location.pathname === '/login.html'")
    assert sockets == []
    assert onlooker.context.cookies() == []


def test_without_the_right_there_are_no_controls(onlooker: Onlooker, site: Site) -> None:
    """Whoever may watch, but not control, gets no buttons for it."""
    site.start_server()
    may = {"may": ["watch"], "access": "open", "name": "x", "groups": None, "serverTime": 0}
    onlooker.page.route("**/api/v1/me", lambda route: route.fulfill(json=may))

    def take_away(page_side: Any) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, str) and '"registered"' in message:
                message = json.dumps({**json.loads(message), "may": ["watch"]})
            page_side.send(message)

        server_side.on_message(pass_on)

    onlooker.page.route_web_socket("**/ws/proctor", take_away)
    onlooker.open("#/watch/desk-1")
    onlooker.until("() => document.body.dataset.connection === 'connected'")
    for control in (".keyframe", "#framerate", "label[for='framerate']"):
        assert not onlooker.page.is_visible(control)
    assert onlooker.page.is_visible("text=Full screen")
    # An open server has nobody to show, and nobody to log in.
    assert not onlooker.page.is_visible(".bar nav")
    onlooker.page.goto(f"{site.url}/login.html")
    onlooker.until("() => document.body.innerText.includes('This server asks nobody for a login.')")


def test_other_sites_log_nobody_in_or_out(onlooker: Onlooker, site: Site) -> None:
    """A page of another site, or of another port, to which cookies are the same, can neither log
    out whoever is logged in at this browser, nor log somebody else in, nor read anything: by form,
    by fetch, or by socket."""
    add_user(site, *ANNA)
    add_user(site, *BERT)
    site.start_server()
    log_in(onlooker, "anna")
    [cookie] = onlooker.context.cookies()
    with pages() as other_port:
        for origin in (other_port, other_port.replace("127.0.0.1", "localhost")):
            evil = onlooker.context.new_page()
            evil.goto(origin)
            attack(evil, site.url)
            evil.close()
    assert onlooker.context.cookies() == [cookie]
    onlooker.page.reload()
    onlooker.until("() => document.querySelector('.bar nav a')?.textContent === 'anna'")
    onlooker.until("() => document.body.dataset.connection === 'connected'")


def attack(evil: Page, url: str) -> None:
    """What a page can try at the server at `url`, in the browser of somebody who is logged in."""
    outcomes = evil.evaluate(
        """async ([url, words]) => {
            const tries = [
                [`${url}/api/v1/login`, { method: "POST", body: words }],
                [`${url}/api/v1/login`, { method: "POST", body: words, mode: "no-cors" }],
                [`${url}/api/v1/login`, {
                    method: "POST", body: words, headers: { "Content-Type": "application/json" },
                }],
                [`${url}/api/v1/login`, { method: "DELETE" }],
                [`${url}/api/v1/logins`, { method: "DELETE" }],
                [`${url}/api/v1/me`, {}],
            ];
            const outcomes = [];
            for (const [address, wishes] of tries) {
                const asked = fetch(address, { credentials: "include", ...wishes });
                outcomes.push(await asked.then((a) => a.type, () => "refused"));
            }
            outcomes.push(await new Promise((done) => {
                const socket = new WebSocket(url.replace("http", "ws") + "/ws/proctor", [
                    "vidlink.v1.binary",
                ]);
                socket.onopen = () => done("open");
                socket.onerror = () => done("refused");
            }));
            return outcomes;
        }""",
        [url, json.dumps({"user": "bert", "password": PASSWORD})],
    )
    assert outcomes == ["refused"] * 7
    with evil.expect_navigation():
        evil.evaluate(
            """([url, words]) => {
                const form = document.createElement("form");
                form.method = "post";
                form.enctype = "text/plain";
                form.action = `${url}/api/v1/login`;
                const field = document.createElement("input");
                [field.name, field.value] = words.split("=");
                form.append(field);
                document.body.append(form);
                form.submit();
            }""",
            [url, json.dumps({"user": "bert", "password": PASSWORD})],
        )
    assert "error" in evil.inner_text("body")
