"""Somebody who looks at the page: opens it, reads what it says, and sees what it shows."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Page

#: What to wait for anything, five times what the slowest of it takes.
PATIENCE_SECONDS = 20.0
READ_BARCODE = (Path(__file__).parent / "barcode.js").read_text()

#: Playwright's own waiting evaluates text in the page, which the page's policy forbids.
UNTIL = """
async ([argument, seconds]) => {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const seen = await (%s)(argument);
    if (seen) return seen;
    if (performance.now() > end) return null;
    await new Promise((done) => setTimeout(done, 10));
  }
}
"""

_SHOWN = "figure.screen video.shown"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is on the screen: whose it claims to be, and what is burnt into it."""

    sentinel: str
    name: str
    session: str
    width: int
    number: int
    time_ms: int
    now_ms: float

    @property
    def age_ms(self) -> float:
        """How long ago it was taken, by the clock of this machine."""
        return self.now_ms - self.time_ms


PICTURE = """
() => {
  const video = document.querySelector("SHOWN");
  if (video === null) return null;
  const code = (READ_BARCODE)(video);
  if (code === null) return null;
  const screen = video.closest("figure");
  return {
    sentinel: screen.dataset.sentinel, session: screen.dataset.session,
    name: screen.querySelector("h1").textContent, width: video.videoWidth,
    number: code.number, time_ms: code.timeMs, now_ms: performance.timeOrigin + performance.now(),
  };
}
""".replace("SHOWN", _SHOWN).replace("READ_BARCODE", READ_BARCODE)


class Onlooker:
    """One tab. Whatever the browser complains of fails the test when they leave.

    :param forgiven: patterns of complaints that belong to what the test does; more may be added.
    """

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.forgiven: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))

    def open(self, place: str = "#/") -> None:
        """Open the page from nothing."""
        self.page.goto(f"{self.url}/{place}")

    def go(self, place: str) -> None:
        """Change the address as a link of the page does."""
        self.page.evaluate("(place) => { location.hash = place; }", place)

    def until(self, look: str, argument: Any = None, seconds: float = PATIENCE_SECONDS) -> Any:
        """The first true value of the JavaScript function `look`, on whatever page one gets to."""
        deadline = time.monotonic() + seconds
        seen = None
        while seen is None and (left := deadline - time.monotonic()) > 0:
            try:
                seen = self.page.evaluate(UNTIL % look, [argument, left])
            except Error as error:
                if "context was destroyed" not in error.message:
                    raise
        assert seen, f"not within {seconds:g} s: {look} of {argument}; {self.said()}"
        return seen

    def picture(self) -> Picture | None:
        """What is shown now; None if it is nothing that can be read."""
        seen = self.page.evaluate(PICTURE)
        return None if seen is None else Picture(**seen)

    def until_picture(self, condition: str = "true", seconds: float = PATIENCE_SECONDS) -> Picture:
        """The first picture `p` for which the JavaScript `condition` holds."""
        look = f"() => {{ const p = ({PICTURE})(); return p && ({condition}) ? p : null; }}"
        return Picture(**self.until(look, None, seconds))

    def screen(self) -> dict[str, str]:
        """What the screen says of itself to programs; empty while there is none."""
        read = "() => ({ ...document.querySelector('figure.screen')?.dataset })"
        found: dict[str, str] = self.page.evaluate(read)
        return found

    def until_state(self, state: str) -> None:
        """Wait until the screen says that it is in this state."""
        self.until(
            "(state) => document.querySelector('figure.screen')?.dataset.state === state", state
        )

    def said(self) -> str:
        """What can be read on the page, for messages."""
        return " | ".join(self.page.inner_text("body").split("\n"))[:2000]

    def leave(self) -> None:
        """Close the tab; what it complained of is a failure."""
        self.context.close()
        unforgiven = [
            complaint
            for complaint in self.complaints
            if not any(re.search(pattern, complaint) for pattern in self.forgiven)
        ]
        assert not unforgiven, unforgiven

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")
