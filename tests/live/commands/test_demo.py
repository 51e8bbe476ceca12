"""`vidlink demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rigs.daemons import START_SECONDS, free_port, until
from vidlink.access.credentials import Credentials, Token
from vidlink.access.hashing import digest_of, new_token
from vidlink.commands.demo import TOKEN_NAME
from vidlink.model import Role

VIDLINK = [sys.executable, "-c", "from vidlink.commands import main; main()"]


def _states(url: str, token: str | None = None) -> list[str]:
    request = urllib.request.Request(url + "api/v1/sentinels")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        return [row["state"] for row in json.load(answer)["sentinels"]]


def _recorded(url: str) -> int:
    """How many sessions have more than a second of segments."""
    with urllib.request.urlopen(url + "api/v1/sessions", timeout=START_SECONDS) as answer:
        return sum(row["segmentCount"] > 5 for row in json.load(answer)["sessions"])


@contextmanager
def _demo(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo, running, and the address that it prints; ended whatever happens."""
    demo = subprocess.Popen(
        [*VIDLINK, "demo", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        yield demo, found[0]
    finally:
        demo.kill()
        demo.wait()


def test_screens_are_live_and_recorded(tmp_path: Path) -> None:
    """All screens become live; Ctrl-C ends it with status 0 and one line that says where the
    recordings are, and there they are."""
    with _demo(tmp_path, "--screens", "3", "--port", str(free_port())) as (demo, url):
        until(lambda: _states(url) == ["live"] * 3, what="three live screens")
        until(lambda: _recorded(url) == 3, what="three recordings")
        # As a terminal and an impatient person do: to everybody, and once more.
        os.killpg(demo.pid, signal.SIGINT)
        os.killpg(demo.pid, signal.SIGINT)
        output, _ = demo.communicate(timeout=START_SECONDS)
    assert demo.returncode == 0, output
    assert "Traceback" not in output
    folder = tmp_path / "vidlink-demo"
    assert str(folder) in output.splitlines()[-1]
    assert len(list(folder.glob("recordings/demo-*/*/part-*.mp4"))) == 3


def test_stops_by_itself(tmp_path: Path) -> None:
    """With --seconds it ends without being asked."""
    with _demo(tmp_path, "--screens", "1", "--seconds", "2", "--port", "0") as (demo, _):
        output, _ = demo.communicate(timeout=START_SECONDS)
    assert demo.returncode == 0, output


def test_folder_with_credentials(tmp_path: Path) -> None:
    """In a folder that has credentials the screens are live too, by a token that is there as long
    as they run, whoever starts a second one on it; a line says that one has to log in. A token for
    some other server that stands in the environment is not shown."""
    credentials = Credentials(str(tmp_path / "vidlink-demo"))
    secret = new_token()
    roles = frozenset({Role.ADMINISTRATOR})
    kept = Token("ours", digest_of(secret), "ours", roles, None, None, None, 1, None)
    credentials.put_token(kept)
    os.environ["VIDLINK_TOKEN"] = new_token()
    try:
        with _demo(tmp_path, "--screens", "2", "--port", "0") as (demo, url):
            until(lambda: _states(url, secret) == ["live"] * 2, what="two live screens")
            assert [one.name for one in credentials.read().tokens if one != kept] == [TOKEN_NAME]
            beside = [*VIDLINK, "demo", "--port", str(free_port())]
            second = subprocess.run(
                beside, cwd=tmp_path, capture_output=True, timeout=START_SECONDS, check=False
            )
            assert second.returncode == 1, second
            assert b"Traceback" not in second.stderr
            time.sleep(2.0)
            assert _states(url, secret) == ["live"] * 2
            assert demo.stdout is not None
            told = [demo.stdout.readline() for _ in range(2)]
            demo.send_signal(signal.SIGINT)
            output, _ = demo.communicate(timeout=START_SECONDS)
    finally:
        del os.environ["VIDLINK_TOKEN"]
    assert demo.returncode == 0, output
    assert "vidlink user add NAME" in told[1]
    assert credentials.read().tokens == (kept,)
    credentials.close()


def test_screens_do_not_outlive_it(tmp_path: Path) -> None:
    """When the demo is killed, the processes of its screens end by themselves."""
    with _demo(tmp_path, "--screens", "2", "--port", "0") as (demo, url):
        until(lambda: _states(url) == ["live"] * 2, what="two live screens")
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert children
        demo.kill()
        until(
            lambda: not any(Path(f"/proc/{child}/stat").exists() for child in children),
            what="the screens have ended",
        )


def test_port_taken(tmp_path: Path) -> None:
    """A port that somebody else listens on is named, with what to do about it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = subprocess.run(
            [*VIDLINK, "demo", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"port {port}" in ended.stderr
    assert "--port" in ended.stderr


def test_mistakes(tmp_path: Path) -> None:
    """A wrong value gives one line and status 1."""
    for options in (["--screens", "0"], ["--port", "http"], ["--nonsense"], ["--data", "/proc/x"]):
        ended = subprocess.run(
            [*VIDLINK, "demo", *options], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 1
        lines = [line for line in ended.stderr.splitlines() if line]
        assert len(lines) == 1, ended.stderr
        assert lines[0].startswith(("vidlink demo: ", "twistd vidlink-server: "))
