"""The list, the addresses, and what must not run: everything but the picture itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Error, WebSocketRoute

from tests.browser.conftest import in_browser_thread
from tests.browser.onlooker import Onlooker
from tests.rigs.daemons import Site

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def status(sentinel_id: str, **fields: Any) -> dict[str, Any]:
    """One row of a `sentinels` message."""
    return {
        "sentinelId": sentinel_id,
        "name": "",
        "group": "",
        "state": "offline",
        "sessionId": None,
        "framerate": None,
        "lastSegmentTime": None,
        "recording": "none",
        **fields,
    }


class ScriptedServer:
    """Takes the place of the server's socket, and says what the test wants said."""

    def __init__(self, onlooker: Onlooker) -> None:
        self.heard: list[dict[str, Any]] = []
        self._onlooker = onlooker
        self._socket: WebSocketRoute | None = None
        onlooker.page.route_web_socket("**/ws/proctor", self._connected)

    def say(self, **message: Any) -> None:
        """Send a message to the page, once it has connected."""
        if self._socket is None:
            self._onlooker.until("() => document.body.dataset.connection === 'connected'")
        assert self._socket is not None
        self._socket.send(json.dumps(message))

    def _connected(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(self._received)

    def _received(self, text: str | bytes) -> None:
        message = json.loads(text)
        self.heard.append(message)
        if message["type"] == "proctor.register":
            self.say(type="registered", proctorId="p", serverTime=0, may=["watch", "control"])
        elif message["type"] == "clock":
            self.say(type="clock", t0=message["t0"], t1=message["t0"], t2=message["t0"])


@pytest.fixture
def scripted(onlooker: Onlooker, site: Site) -> ScriptedServer:
    """A page whose files are the server's and whose socket is the test's."""
    site.start_server()
    return in_browser_thread(lambda: ScriptedServer(onlooker))


def rows(onlooker: Onlooker) -> list[str]:
    """The ids of the rows that can be seen, from the top."""
    found: list[str] = onlooker.page.evaluate(
        """() => [...document.querySelectorAll("tr[data-sentinel]")]
            .filter((row) => !row.hidden).map((row) => row.dataset.sentinel)"""
    )
    return found


def test_script_in_a_name_is_text(onlooker: Onlooker, site: Site) -> None:
    """A sentinel's name and group are shown as they are and run nowhere."""
    site.start_server()
    site.start_sentinel("desk-12", "--name", EVIL, "--group", EVIL)
    site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    name = "(evil) => document.querySelector('figure.screen h1').textContent === evil"
    onlooker.until(name, EVIL)
    assert onlooker.page.inner_text("tr[data-sentinel='desk-12'] a") == EVIL
    assert onlooker.page.inner_text("tr[data-sentinel='desk-12'] .group") == EVIL
    onlooker.go("#/recordings/desk-12")
    onlooker.until("(evil) => document.querySelector('.recordings h1')?.textContent === evil", EVIL)
    assert onlooker.page.query_selector_all("img, script:not([src])") == []
    assert onlooker.page.title() == f"Recordings of {EVIL} \N{EN DASH} VidLink"


def test_the_policy_is_in_force(onlooker: Onlooker, site: Site) -> None:
    """Markup from text, inline style and other servers are refused by the browser itself."""
    onlooker.forgiven += ["Content Security Policy", "TrustedHTML"]
    site.start_server()
    onlooker.open()
    with pytest.raises(Error, match="TrustedHTML"):
        onlooker.page.evaluate("() => { document.body.innerHTML = '<b>x</b>'; }")
    refused = onlooker.page.evaluate(
        """() => new Promise((done) => {
            const seen = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                seen.push(event.effectiveDirective);
                if (seen.length === 3) done(seen.sort());
            });
            document.body.setAttribute("style", "color: red");
            new Image().src = "http://localhost:9/x.png";
            fetch("http://localhost:9/").catch(() => {});
        })"""
    )
    assert refused == ["connect-src", "img-src", "style-src-attr"]


def test_the_list_follows_what_happens(onlooker: Onlooker, site: Site) -> None:
    """A sentinel appears, is live, and goes offline, without a reload."""
    site.start_server()
    onlooker.open()
    onlooker.until("() => document.body.innerText.includes('No sentinel has connected yet.')")
    sentinel = site.start_sentinel("desk-12", "--name", "Anna", "--group", "Room 1")
    row = "document.querySelector(\"tr[data-sentinel='desk-12']\")"
    onlooker.until(f"() => {row}?.dataset.state === 'live'")
    words = onlooker.page.inner_text("tr[data-sentinel='desk-12']").split()
    assert words[:5] == ["Live", "Anna", "desk-12", "Room", "1"]
    sentinel.kill()
    onlooker.until(f"() => {row}.dataset.state === 'offline'")
    onlooker.until(f"() => /^[1-9][0-9]* s$/.test({row}.querySelector('.age').textContent)")


def test_rows_are_patched_where_they_stand(onlooker: Onlooker, scripted: ScriptedServer) -> None:
    """With hundreds of rows, news moves neither the focus nor the scroll nor the row itself."""
    onlooker.open()
    many = [status(f"desk-{n:03}", group=f"Room {n // 50}") for n in range(500)]
    scripted.say(type="sentinels", full=True, sentinels=many)
    onlooker.until("() => document.querySelectorAll('tr[data-sentinel]').length === 500")
    onlooker.page.evaluate(
        """() => {
            self.row = document.querySelector("tr[data-sentinel='desk-250']");
            self.row.querySelector("a").focus();
            self.scrolled = document.querySelector(".list .scroller").scrollTop;
        }"""
    )
    news = [status(f"desk-{n:03}", group=f"Room {n // 50}", state="live") for n in range(500)]
    news.append(status("desk-new", group="Room 0"))
    scripted.say(type="sentinels", full=False, sentinels=news)
    onlooker.until("() => self.row.dataset.state === 'live'")
    assert onlooker.page.evaluate(
        """() => [
            document.activeElement === self.row.querySelector("a"),
            self.row.isConnected,
            document.querySelector(".list .scroller").scrollTop - self.scrolled < 100,
            self.scrolled > 1000,
        ]"""
    ) == [True, True, True, True]
    scripted.say(type="sentinels", full=True, sentinels=many[:10])
    onlooker.until("() => document.querySelectorAll('tr[data-sentinel]').length === 10")


def test_the_list_is_sorted_and_filtered(onlooker: Onlooker, scripted: ScriptedServer) -> None:
    """By group, then name as people count; the filter finds name, id, group and state."""
    onlooker.open()
    scripted.say(
        type="sentinels",
        full=True,
        sentinels=[
            status("c", name="Desk 10", group="B"),
            status("b", name="Desk 9", group="B", state="live"),
            status("a", name="Zoe", group="A", state="stale"),
        ],
    )
    onlooker.until("() => document.querySelectorAll('tr[data-sentinel]').length === 3")
    assert rows(onlooker) == ["a", "b", "c"]
    for text, expected in [("desk", ["b", "c"]), ("STALE", ["a"]), ("zo", ["a"]), ("xyz", [])]:
        onlooker.page.fill("#filter", text)
        assert rows(onlooker) == expected
    assert "Nothing fits this filter." in onlooker.said()
    onlooker.page.press("#filter", "Escape")
    assert rows(onlooker) == ["a", "b", "c"]
    scripted.say(type="sentinels", full=False, sentinels=[status("a", name="Zoe", group="C")])
    onlooker.until("() => document.querySelector('tr[data-sentinel]').dataset.sentinel === 'b'")
    assert rows(onlooker) == ["b", "c", "a"]


def test_everything_is_reached_by_keyboard(onlooker: Onlooker, scripted: ScriptedServer) -> None:
    """Slash filters, arrows choose, Enter opens, Escape goes back; one row is a tab stop."""
    onlooker.open()
    many = [status(f"desk-{n}") for n in range(1, 6)]
    scripted.say(type="sentinels", full=True, sentinels=many)
    onlooker.until("() => document.querySelectorAll('tr[data-sentinel]').length === 5")
    page = onlooker.page
    assert page.evaluate("() => document.querySelectorAll(\"tbody a[tabindex='0']\").length") == 1
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "filter"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    onlooker.until("() => location.hash === '#/watch/desk-4'")
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-4'")
    onlooker.until("() => document.activeElement.textContent === 'desk-4'")
    page.keyboard.press("Escape")
    onlooker.until("() => document.querySelector('figure.screen') === null")
    assert page.evaluate("() => document.querySelectorAll('[aria-current]').length") == 0


def test_the_address_names_what_is_shown(onlooker: Onlooker, scripted: ScriptedServer) -> None:
    """Reload and the back button show the same again; an address that is none shows the list."""
    onlooker.open("#/watch/desk-1")
    onlooker.until("() => document.body.dataset.connection === 'connected'")
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-1'")
    onlooker.go("#/watch/desk-2")
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-2'")
    onlooker.page.reload()
    onlooker.until("() => document.body.dataset.connection === 'connected'")
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-2'")
    onlooker.page.go_back()
    onlooker.until("() => document.querySelector('figure.screen')?.dataset.sentinel === 'desk-1'")
    for odd in ("#/watch/", "#/nothing/desk-1", "#/watch/%", "#"):
        onlooker.go(odd)
        onlooker.until("() => document.querySelector('figure.screen') === null")
    said = [message["type"] for message in scripted.heard if message.get("sentinelId")]
    assert said.count("subscribe") == 4
    assert said.count("unsubscribe") == 3


def test_a_refused_connection_is_explained(onlooker: Onlooker, site: Site) -> None:
    """The browser hides why a handshake was refused; the page asks, and says it in words."""
    onlooker.forgiven += ["403", "WebSocket connection to .* failed"]
    onlooker.page.route_web_socket("**/ws/proctor", lambda socket: socket.close())
    onlooker.page.route("**/api/v1/me", lambda route: route.fulfill(status=403, json={}))
    site.start_server()
    onlooker.page.add_init_script(
        """self.WebSocket = class extends EventTarget {
            constructor() { super(); setTimeout(() => this.onclose({ code: 1006 }), 10); }
        };"""
    )
    onlooker.open()
    onlooker.until("() => document.body.innerText.includes('you may not watch here')")


def test_what_was_skipped_is_said(onlooker: Onlooker, site: Site) -> None:
    """A jump that the server announces is shown as the time that is missing, with the reason."""
    drop: dict[str, Any] = {"left": 0, "session": ""}

    def route(page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, bytes) and message[0] == 2 and drop["left"]:
                drop["left"] = drop["left"] - 1
                if not drop["left"]:
                    page_side.send(
                        json.dumps(
                            {
                                "type": "skipped",
                                "sentinelId": "desk-12",
                                "sessionId": drop["session"],
                                "first": 1,
                                "last": 2,
                                "reason": "lag",
                            }
                        )
                    )
                return
            page_side.send(message)

        server_side.on_message(pass_on)

    onlooker.page.route_web_socket("**/ws/proctor", route)
    site.start_server()
    site.start_sentinel("desk-12", "--keyframe-interval", "1")
    drop["session"] = site.live_session("desk-12")
    onlooker.open("#/watch/desk-12")
    onlooker.until_picture()
    drop["left"] = 10
    onlooker.until(
        "() => /[12]\\.[0-9] s not shown \\(fell behind\\)/.test(document.body.innerText)"
    )
    onlooker.until_picture()


def test_nothing_sticks_out_on_a_phone(onlooker: Onlooker, site: Site) -> None:
    """At 390 pixels the page is as wide as the screen, and list and picture take turns."""
    site.start_server()
    site.start_sentinel("desk-12", "--name", "A name that is rather long for a narrow screen")
    session = site.live_session("desk-12")
    site.recorded("desk-12", session, 2)
    onlooker.page.set_viewport_size({"width": 390, "height": 844})
    onlooker.open()
    onlooker.page.click("tr[data-sentinel='desk-12'] .how")
    onlooker.until_picture()
    assert not onlooker.page.is_visible(".list")
    onlooker.until("() => document.activeElement.tagName === 'H1'")
    for place in ("#/", "#/watch/desk-12", "#/recordings/desk-12"):
        onlooker.go(place)
        onlooker.until("() => document.querySelector('tr[data-sentinel], figure, .sessions')")
        wide = onlooker.page.evaluate("() => document.documentElement.scrollWidth")
        assert wide == 390, place


@pytest.mark.parametrize("place", ["#/", "#/watch/desk-2"])
def test_two_machines_with_one_id(onlooker: Onlooker, scripted: ScriptedServer, place: str) -> None:
    """Whatever is being looked at, the page says that two machines use one id, and which."""
    onlooker.open(place)
    onlooker.until("() => document.body.dataset.connection === 'connected'")
    scripted.say(type="error", code="id-in-use", message="two of them", about="desk-1")
    onlooker.until("() => document.getElementById('alarm').innerText.includes('id desk-1')")
    said = "two machines use the id desk-3: 10.0.0.5:50412 has it, 10.0.0.9:40100 is refused"
    scripted.say(type="error", code="id-in-use", message=said, about="desk-3")
    look = "(said) => document.getElementById('alarm').innerText === said"
    onlooker.until(look, said.replace("two", "Two", 1))
