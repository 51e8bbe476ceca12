"""Real daemons for tests: started as an operator would, awaited by what they do, always ended.

Nothing here sleeps for a fixed time: `until` looks again and again until a deadline that is
several times what the thing should take.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

from vidlink.access.credentials import Credentials, Token
from vidlink.access.hashing import digest_of, new_token
from vidlink.model import Role

T = TypeVar("T")

#: What a daemon may take to start, five times what it takes on a slow machine.
START_SECONDS = 30.0
STOP_SECONDS = 20.0
#: Below the ports that Linux gives to whoever connects.
PORTS = range(10_000, 32_768)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    Tests that run side by side hardly ever get the same one; and it is none of those that the
    system gives to whoever connects, so it is still free when its server is started again.
    """
    while True:
        port = SystemRandom().choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(
    look: Callable[[], T], seconds: float = START_SECONDS, pause: float = 0.02, what: str = ""
) -> T:
    """The first true value that `look` gives; AssertionError if there is none in `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or look}; last: {value!r}")
        time.sleep(pause)


class Daemon:
    """One `twistd -n` process, its log in a file.

    :param plugin: ``vidlink-server`` or ``vidlink-sentinel``.
    :param folder: where its log goes, and where it runs.
    :param before: what to put before the command, such as strace; it has to become the daemon.
    """

    def __init__(
        self,
        plugin: str,
        options: list[str],
        folder: Path,
        environ: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        count = len(list(folder.glob("*.log")))
        self.log_path = folder / f"{plugin}-{count}.log"
        command = [
            *before,
            sys.executable,
            "-c",
            "from twisted.scripts.twistd import run; run()",
            "-n",
            f"--pidfile={self.log_path.with_suffix('.pid')}",
            plugin,
            *options,
        ]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environ or {})},
            )

    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text(errors="replace")

    def logged(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait for `pattern` in its log; it must not end before."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log())
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log()}")
            return found

        match = until(look, seconds, what=f"{pattern!r} in {self.log_path}")
        assert match is not None
        return match

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, no farewell."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"did not stop:\n{self.log()}") from None
        return self.process.returncode


class Site:
    """A server and its sentinels on loopback, on one port for all its lives.

    :param folder: for logs and for the recordings in ``folder/data``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        #: The token that requests show, and the commands of the site.
        self.token: str | None = None
        self._daemons: list[Daemon] = []

    def token_for(
        self, name: str, *roles: Role, groups: Iterable[str] | None = None, group: str | None = None
    ) -> str:
        """A new token for a script with these `roles` and `groups`, or without roles for the
        sentinel `name`, maybe of a `group`; the server may run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        secret = new_token()
        is_sentinel = not roles
        Credentials(str(self.data)).put_token(
            Token(
                token_id=secrets.token_hex(4),
                digest=digest_of(secret),
                name=name,
                roles=frozenset(roles or {Role.SENTINEL}),
                groups=None if groups is None else frozenset(groups),
                sentinel_id=name if is_sentinel else None,
                sentinel_group=group,
                created_us=time.time_ns() // 1_000,
                expires_us=None,
            )
        )
        return secret

    def be_administrator(self) -> None:
        """Show an administrator's token from now on. With ``--no-auth`` all others go on as they
        are."""
        self.token = self.token_for("operator", Role.ADMINISTRATOR)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that show the token."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def launch_server(
        self, *options: str, environ: dict[str, str] | None = None, before: Sequence[str] = ()
    ) -> Daemon:
        """Start the server, and wait for nothing."""
        listen = f"tcp:{self.port}:interface=127.0.0.1"
        words = ["--listen", listen, "--data", str(self.data), *options]
        if "VIDLINK_TRANSPORT" in os.environ:
            words += ["--transport", os.environ["VIDLINK_TRANSPORT"]]
        return self._start("vidlink-server", words, environ, before)

    def start_server(
        self, *options: str, environ: dict[str, str] | None = None, before: Sequence[str] = ()
    ) -> Daemon:
        """Start the server, and wait until it answers."""
        server = self.launch_server(*options, environ=environ, before=before)

        def answers() -> bool:
            if server.process.poll() is not None:
                raise AssertionError(f"ended with {server.process.returncode}:\n{server.log()}")
            try:
                return self.get_json("/healthz") is not None
            except OSError:
                return False

        until(answers, what="the server answers")
        return server

    def start_sentinel(
        self,
        sentinel_id: str,
        *options: str,
        environ: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Daemon:
        """Start a sentinel; the source is the test picture unless `options` say otherwise."""
        source = [] if "--source" in options else ["--source", "test", "--max-size", "320x240"]
        return self._start(
            "vidlink-sentinel",
            ["--server", self.ws, "--id", sentinel_id, *source, *options],
            environ,
            before,
        )

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
        """Status, headers and body of a GET."""
        shown = {**self.headers, **(headers or {})}
        request = urllib.request.Request(self.url + path, headers=shown)
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def get_json(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, _, body = self.get(path)
        assert status == 200, (status, body)
        return json.loads(body)

    def status_of(self, sentinel_id: str) -> Any:
        """Its row in the list of sentinels; None if it is not listed."""
        rows = self.get_json("/api/v1/sentinels")["sentinels"]
        return next((row for row in rows if row["sentinelId"] == sentinel_id), None)

    def live_session(self, sentinel_id: str, other_than: str = "") -> str:
        """Wait until it is live, in another session than `other_than`; the session's id."""

        def look() -> str:
            row = self.status_of(sentinel_id)
            if row is None or row["state"] != "live" or row["sessionId"] in (None, other_than):
                return ""
            return str(row["sessionId"])

        try:
            return until(look, what=f"{sentinel_id} is live")
        except AssertionError as error:
            logs = "\n".join(daemon.log()[-2000:] for daemon in self._daemons)
            raise AssertionError(f"{error}\n{logs}") from None

    def recorded(self, sentinel_id: str, session_id: str, at_least: int) -> list[dict[str, Any]]:
        """Wait until at least so many segments are listed as durable; those, and none that a kill
        could still take."""
        path = f"/api/v1/sentinels/{sentinel_id}/sessions/{session_id}/segments?limit=1000"

        def look() -> list[dict[str, Any]]:
            status, _, body = self.get(path)
            listed: list[dict[str, Any]] = json.loads(body)["segments"] if status == 200 else []
            segments = [one for one in listed if one["durable"]]
            return segments if len(segments) >= at_least else []

        return until(look, what=f"{at_least} segments of {session_id}")

    def stop(self) -> None:
        """End everything that was started here."""
        for daemon in reversed(self._daemons):
            if daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.process.kill()
                daemon.process.wait()

    def _start(
        self,
        plugin: str,
        options: list[str],
        environ: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Daemon:
        daemon = Daemon(plugin, options, self.folder, environ, before)
        self._daemons.append(daemon)
        return daemon
