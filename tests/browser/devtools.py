"""A Chromium whose tabs can really be hidden: Playwright tells every tab that it is in front.

Only what that one test needs is here; all others use `tests.browser.onlooker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import websocket

from tests.rigs.daemons import until

START_SECONDS = 30.0
_READY = "DevTools listening on "


class DevTools:
    """One browser, spoken to over its own debugging protocol."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
        log = Path(self._folder.name) / "log"
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    program,
                    "--headless",
                    "--remote-debugging-port=0",
                    f"--user-data-dir={self._folder.name}/profile",
                    *sandbox,
                    "about:blank",
                ],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            self._socket = websocket.create_connection(
                self._address(log), timeout=START_SECONDS, suppress_origin=True
            )
        except BaseException:
            self.close()
            raise
        self._number = 0

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol and give its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> Tab:
        """Open a tab, in front of all others; when this returns it has loaded `url`."""
        tab = Tab(self, self.call("Target.createTarget", url=url)["targetId"])
        look = "(url) => location.href === url && document.readyState === 'complete'"

        def has_loaded() -> bool:
            try:
                return bool(tab.evaluate(look, url))
            except AssertionError:
                # It was just leaving the empty document that every tab begins with.
                return False

        until(has_loaded, START_SECONDS, what=f"the tab is at {url}")
        return tab

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait()
        # Its children may still be at their profile.
        self._folder.cleanup()

    def _address(self, log: Path) -> str:
        def look() -> str:
            lines = log.read_text(errors="replace").splitlines()
            return next((one.split(_READY)[1] for one in lines if _READY in one), "")

        return until(look, START_SECONDS, what="the browser's debugging port")


class Tab:
    """One tab."""

    def __init__(self, browser: DevTools, target: str) -> None:
        self._browser = browser
        self._target = target
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def bring_to_front(self) -> None:
        """Show this tab; the one that was shown is hidden."""
        self._browser.call("Target.activateTarget", targetId=self._target)

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function gives, once its promise is fulfilled."""
        found = self._browser.call(
            "Runtime.evaluate",
            self._session,
            expression=f"({function})({json.dumps(argument)})",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")
