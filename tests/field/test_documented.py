"""What is documented is run: every command of every page and configuration, by the shell and with
the tools that it names, or it is said here who runs it.

Of a command only places are put in: addresses, folders and times that are there. Players have no
screen, as mpv's configuration and SDL's variables say, and ffplay is told to end with its film.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from tests.live.nodes import Nodes
from tests.live.sentinel.test_screen import Screen
from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site, free_port, until
from tests.rigs.documented import CONFIGURATIONS, OTHERS, ROOT, SHELLS, commands, languages
from tests.rigs.needs import PROGRAMS, need
from tests.rigs.screening import own_film
from tests.rigs.sentinel import LiveSentinel
from tests.rigs.tls import self_signed
from vidlink.model import InitSegment, Role

#: Many times what a command takes that ends by itself.
PATIENCE_SECONDS = 60.0
PIECE_BYTES = 16 * 1024
#: The ids that the pages have.
PASSWORD = "correct horse battery"
DESK, DESK_SESSION = "desk-12", "Wj3_qT-8mZ0aLeR4yCuK2vXd"
GATE, GATE_SESSION = "gate.2", "session-00000001"

#: Who runs commands that are not run here, or why nobody does; and of configurations.
ELSEWHERE = {
    r"python3 -m venv \.venv( && .*| *)": ".ci/run makes one, and .ci/wheel another",
    r"\.venv/bin/pip install -e '\.\[dev\]'": "the stage `tools` of .ci/run",
    r"(VIDLINK_REQUIRE=all )?\.venv/bin/pytest": "the last stage of .ci/run",
    r"sudo apt-get install .*": "the stage `programs` of .ci/run; test_packages compares the two",
    r"\.ci/run": "it is what runs this",
    r"ruff check && ruff format --check|mypy": "stages of .ci/run",
    r"(VIDLINK_TRANSPORT=stock )?(python -m )?pytest( .*)?": "the stage `tests` of .ci/run",
    r"python -m twisted\.trial tests\.relay": "the last stage of .ci/run",
    r"tox -e .*": "needs other Pythons, or does what stages of .ci/run do; test_tox looks for them",
    r"python -m tests\.fuzz .*": "wants Atheris and minutes; tests/fuzz/test_targets.py",
    r"python -m benchmarks\.relay .*": "25 minutes; tests/live/test_comparison.py, for a second",
    r"vidlink demo": "tests/live/commands/test_demo.py, on a port of its own",
    r"vidlink rehearse .*": "tests/live/commands/test_rehearse.py, with few screens for seconds",
    r"python3 -m venv /opt/vidlink|/opt/vidlink/bin/pip install .*": ".ci/wheel, elsewhere",
    r"npm install|cd examples/node": "tests/live/nodes.py installs what package.json names",
    r"cp vidlink-.*|systemctl .*|useradd .*": "changes the system; test_units looks at the units",
    r"install -m 600 .*|sudo -u vidlink .*": "changes the system, as the above",
    r"film=\$\(curl .*|curl .* \"\$film\"": "test_download_goes_on, one after the other",
    r"path=/api/v1/.*|.*/api/v1/tickets.*|mpv .*ticket.*": "tests/field/test_tickets.py",
    r"etc/nginx\.conf": "tests/field/test_proxy.py",
    r"etc/vidlink-(server|sentinel)\.service": "test_units",
    r"etc/prometheus(-alerts)?\.yml": "tests/server/health/test_metrics.py compares the figures",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A command that is run here.

    :param makes: a file that is there afterwards, with something in it.
    :param typed: is typed at it.
    :param is_endless: True if it is to go on until it is interrupted, once it has said `says`.
    :param says: is in what it writes, as a pattern.
    """

    makes: str = ""
    typed: str = ""
    is_endless: bool = False
    says: str = ""


RUNS = {
    r"(\.venv/bin/)?twistd .* vidlink-server( .*)?": Run(is_endless=True, says="starting on"),
    r"(\.venv/bin/)?twistd .* vidlink-sentinel( .*)?": Run(is_endless=True, says="registered at"),
    r"export VIDLINK_SERVER=.*": Run(),
    r"vidlink ls": Run(says=DESK),
    r"(while )?vidlink watch .*(mpv|ffplay) .*": Run(is_endless=True, says="Video.*h264"),
    r"vidlink watch desk-12 --seconds .* > minute\.mp4": Run(makes="minute.mp4"),
    r"vidlink export .* --to \"[^\"]*\"": Run(makes="desk-12-*.mp4"),
    r"vidlink export .* -o lecture\.mp4": Run(makes="lecture.mp4"),
    r"vidlink export .* -o archive/": Run(makes="archive/desk-12-*.mp4"),
    r"(ffplay|mpv) \"\$SESSION.*\"": Run(),
    r"ffmpeg .*\"\$SESSION.* desk-12\.mp4": Run(makes="desk-12.mp4"),
    r"curl .*\"\$SESSION.*\"( -o .*)?": Run(makes="*.mp4"),
    r"vidlink user add .*": Run(typed=PASSWORD, says="may log in"),
    r"vidlink token add desk-.* > .*\.token": Run(makes="desk-*.token"),
    r"vidlink token add .* --enrol .* > room\.token": Run(makes="room.token"),
    r"vidlink token add rehearsal --role proctor .*": Run(makes="proctor.token"),
    r"chmod 600 desk-12.token": Run(),
    r"vidlink certificate .*": Run(makes="certificate.pem"),
    r"vidlink login grace": Run(typed=PASSWORD, says="grace is logged in"),
    r"vidlink logout": Run(says="1 login .* ended"),
    r"vidlink hold .*": Run(says="appeal"),
    r"vidlink delete .* --dry-run": Run(),
    r"curl http://.*/readyz": Run(says='"status": ?"ok"'),
    r"python -c \"import vidlink.*\"": Run(),
    r"vidlink fsck [^>]*": Run(says="sound"),
    r"vidlink fsck .* > findings.json .*": Run(makes="findings.json"),
    r"curl -O .*openapi\.json": Run(makes="openapi.json"),
    r"curl -X DELETE .*\"http://.*dry-run=true\"": Run(says="recordsSha256"),
    r"ffmpeg -f lavfi .* film\.mp4": Run(makes="film.mp4"),
    r"node sentinel\.mjs .*": Run(is_endless=True, says="recorded up to"),
    r"node proctor\.mjs .* ffplay .*": Run(is_endless=True, says="Video: h264"),
}


def _claims(text: str) -> list[str]:
    """The patterns that claim a command, or a configuration."""
    return [pattern for pattern in (*ELSEWHERE, *RUNS) if re.fullmatch(pattern, text)]


def test_every_command_is_claimed() -> None:
    """Each command and configuration is run here, or it is said who runs it, by one of the
    patterns; and each pattern is of use."""
    texts = [command.text for command in commands()]
    texts += [str(file.relative_to(ROOT)) for file in CONFIGURATIONS]
    assert len(texts) > 50
    claims = {text: _claims(text) for text in texts}
    assert {text: found for text, found in claims.items() if len(found) != 1} == {}
    used = {pattern for found in claims.values() for pattern in found}
    assert used == {*ELSEWHERE, *RUNS}


def test_commands_stand_in_shell_blocks() -> None:
    """A block is in a language that is known here, so that no command hides in another."""
    assert {(page, one) for page, one in languages() if one not in SHELLS | OTHERS} == set()


def test_packages() -> None:
    """CONTRIBUTING.md tells to install what tests ask for, and ``.ci/run`` does."""
    (told,) = (one.text for one in commands() if "apt-get install" in one.text)
    packages = set(told.split()[3:]) - {"python3-venv"}
    assert packages == {program.package for program in PROGRAMS.values()}
    installs = re.search(r"for pair in (.*?); do", (ROOT / ".ci/run").read_text(), re.S)
    assert installs is not None
    assert {pair.partition(":")[2] for pair in installs[1].split() if ":" in pair} == packages


def test_tox() -> None:
    """The environments of tox that CONTRIBUTING.md names are there."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    named = {
        one for two in commands() if two.text.startswith("tox ") for one in two.text.split(",")
    }
    for name in {one.rpartition(" ")[2] for one in named}:
        known = tox.has_section(f"testenv:{name}") or name in tox["tox"]["env_list"].split(", ")
        assert known, name


def test_units(tmp_path: Path) -> None:
    """systemd takes the units, with nothing to complain of."""
    for name, how in (("vidlink-server", "--system"), ("vidlink-sentinel", "--user")):
        text = (ROOT / "etc" / f"{name}.service").read_text()
        unit = tmp_path / f"{name}.service"
        assert "/opt/vidlink/bin/twistd" in text
        unit.write_text(text.replace("/opt/vidlink/bin/twistd", "/bin/true"))
        command = [need("systemd-analyze"), "verify", how, "--man=no", str(unit)]
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        told = subprocess.run(command, capture_output=True, text=True, env=environ)
        ours = [line for line in told.stderr.splitlines() if name in line]
        assert (told.returncode, ours) == (0, []), told


class Stage:
    """A server with the recordings that the pages speak of, and all that commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site(folder / "site")
        self.site.be_administrator()
        self.site.start_server("--no-auth")
        user = ["user", "add", "grace", "--role", "proctor", "--all-groups", "--data", "data"]
        made = vidlink(self.site, *user, input=PASSWORD.encode())
        assert made.returncode == 0, made
        certificate = self_signed(folder / "certificate")
        self.certificate = certificate.certificate_path
        self.key = certificate.key_path
        self.screen = Screen()
        self.nodes = Nodes(self._made("nodes"))
        film = own_film(4, 5)
        self.began_us = film.began_us
        for sentinel_id, session_id in ((DESK, DESK_SESSION), (GATE, GATE_SESSION)):
            sentinel = LiveSentinel(self.site.ws, sentinel_id, session_id)
            sentinel.say(InitSegment(sentinel_id, session_id, film.init))
            for number in range(len(film.pieces)):
                sentinel.say(film.segment(number, sentinel_id, session_id))
            sentinel.acknowledged(session_id, len(film.pieces) - 1)
            sentinel.close()
        self.copy = folder / "copy"
        shutil.copytree(self.site.data, self.copy)
        self.site.start_sentinel(DESK, "--group", "Room A", "--keyframe-interval", "1")
        live = self.site.live_session(DESK)
        self.site.recorded(DESK, live, 10)
        self._tools()

    def _made(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir()
        return made

    def _tools(self) -> None:
        """Players without a screen, and the commands of this environment."""
        (self._made("mpv") / "mpv.conf").write_text("vo=null\nao=null\n")
        tools = self._made("tools")
        ffplay = tools / "ffplay"
        ffplay.write_text(f'#!/bin/sh\nexec {need("ffplay")} -autoexit "$@"\n')
        ffplay.chmod(0o755)
        for program in ("mpv", "curl", "ffmpeg", "node"):
            need(program)
        session = f"{self.site.url}/api/v1/sentinels/{DESK}/sessions/{DESK_SESSION}"
        paths = (str(tools), os.path.dirname(sys.executable), os.environ["PATH"])
        self.environ: dict[str, str] = {
            **os.environ,
            "PATH": os.pathsep.join(paths),
            "SESSION": session,
            "XDG_CONFIG_HOME": str(self.folder / "settings"),
            "VIDLINK_SERVER": self.site.url,
            "MPV_HOME": str(self.folder / "mpv"),
            "SDL_VIDEODRIVER": "dummy",
            "SDL_RENDER_DRIVER": "software",
            "SDL_AUDIODRIVER": "dummy",
            "DISPLAY": self.screen.display,
        }

    def stop(self) -> None:
        """End all of it."""
        self.site.stop()
        self.nodes.stop()
        self.screen.end()

    def placed(self, text: str) -> str:
        """`text` with places and times that are there."""
        port = free_port()
        if "vidlink-server" in text and "--listen" not in text:
            text += f" --listen tcp:{port}:interface=127.0.0.1"
        for told, ours in (
            ("--listen tcp:8080", f"--listen tcp:{port}"),
            ("--listen ssl:8443", f"--listen ssl:{port}"),
            ("privateKey=key.pem", f"privateKey={self.key}"),
            ("certKey=certificate.pem", f"certKey={self.certificate}"),
            ("https://vidlink.example.org", self.site.url),
            ("wss://vidlink.example.org", self.site.ws),
            ("ws://127.0.0.1:8080", self.site.ws),
            ("http://127.0.0.1:8080", self.site.url),
            ("/etc/vidlink/oidc-secret", str(self.key)),
            ("/var/lib/vidlink-spool", f"{self.folder}/spool"),
            ("fsck /var/lib/vidlink", f"fsck {self.copy}"),
            # Each page has one of its own, where it is run.
            ("/var/lib/vidlink", "data"),
            ("/mnt/copy", str(self.copy)),
            (".venv/bin/", ""),
            ("--seconds 60", "--seconds 2"),
            ("duration=60", "duration=8"),
        ):
            text = text.replace(told, ours)
        if "vidlink-sentinel" in text or "sentinel.mjs" in text:
            # The one of the pages is live already.
            text = re.sub(rf"{DESK}(?!\.token)", f"{DESK}-{port}", text)
        return self._timed(text)

    def _timed(self, text: str) -> str:
        """With its first time in the middle of the session, and its second in the future."""
        times = iter((self.began_us / 1e6 + 1.1, time.time() + 36 * 3_600))

        def at(match: re.Match[str]) -> str:
            there = datetime.fromtimestamp(next(times), UTC)
            if match[0].endswith("Z"):
                return there.strftime("%Y-%m-%dT%H:%M:%SZ")
            if ":" in match[0]:
                return there.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            return there.strftime("%Y-%m-%d")

        if "--before" in text:
            return text
        return re.sub(r"2026-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?", at, text)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all pages."""
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.stop()


def _pages() -> dict[str, list[tuple[str, Run]]]:
    """By the name of each page its commands that are run here."""
    pages = {}
    for page, group in groupby(commands(), lambda command: command.page):
        mine = [
            (one.text, RUNS[found])
            for one in group
            for found in _claims(one.text)[:1]
            if found in RUNS
        ]
        if mine:
            pages[page] = mine
    return pages


@pytest.mark.parametrize("page", _pages())
def test_commands_of_a_page(stage: Stage, page: str, tmp_path: Path) -> None:
    """Each does what the page says: it ends well, or goes on until it is interrupted, says what it
    should and makes its file."""
    if page.startswith("examples"):
        tmp_path = stage.nodes.folder
    (tmp_path / f"{DESK}.token").write_text(stage.site.token_for(DESK, Role.SENTINEL))
    room = stage.site.token_for("Room A", Role.ENROLMENT, group="Room A")
    (tmp_path / "room.token").write_text(room)
    for text, run in _pages()[page]:
        log = tmp_path / "log"
        if run.makes:
            for made in tmp_path.glob(run.makes):
                made.unlink()
        with log.open("wb") as file:
            shell = subprocess.Popen(
                ["bash", "-c", stage.placed(text)],
                cwd=tmp_path,
                env=stage.environ | _shown(stage, text),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert shell.stdin is not None
        with suppress(BrokenPipeError), shell.stdin:
            shell.stdin.write(run.typed.encode())
        _check(shell, run, log, text, tmp_path)


def _shown(stage: Stage, text: str) -> dict[str, str]:
    """The variable by which an administrator gives a command; a login is not passed by."""
    is_shown = re.match("vidlink (hold|delete)|curl -X DELETE", text)
    return {"VIDLINK_TOKEN": stage.site.token or ""} if is_shown else {}


def test_download_goes_on(stage: Stage, tmp_path: Path) -> None:
    """The download of http.md, interrupted and given again, goes on to the whole film."""
    find, fetch = (
        stage.placed(one.text)
        for one in commands()
        if one.page.endswith("http.md") and ("film=" in one.text or "$film" in one.text)
    )
    url = re.search(r'"http://[^"]*(/api[^"]*)"', find)
    assert url is not None
    whole = stage.site.get(url[1])[2]
    # Ended by a signal when the file has so many octets, whatever else of it is on its way.
    script = f"{find}\n(ulimit -f {PIECE_BYTES // 1024}; exec {fetch})\n"
    script += f"echo $? > status; cp gate.mp4 before\n{fetch}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done
    assert (tmp_path / "status").read_text() != "0\n"
    assert (tmp_path / "before").read_bytes() == whole[:PIECE_BYTES] != whole
    assert (tmp_path / "gate.mp4").read_bytes() == whole


def _check(shell: subprocess.Popen[bytes], run: Run, log: Path, text: str, folder: Path) -> None:
    said = ""
    try:
        if run.is_endless:
            _look(shell, run, log, text)
        else:
            assert shell.wait(PATIENCE_SECONDS) == 0, (text, log.read_text(errors="replace"))
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGINT)
            shell.wait(PATIENCE_SECONDS)
        said = log.read_text(errors="replace")
    assert re.search(run.says, said), (text, said)
    assert not re.search(r"Traceback|\b[Ee]rror\b|[Ff]ailed|[Ii]nvalid", said), (text, said)
    if run.makes:
        made = [file for file in folder.glob(run.makes) if file.stat().st_size]
        assert made, (text, said, os.listdir(folder))


def _look(shell: subprocess.Popen[bytes], run: Run, log: Path, text: str) -> None:
    """See that it goes on, and that a server answers."""
    until(lambda: re.search(run.says, log.read_text(errors="replace")), what=text)
    place = re.search(r"--listen (tcp|ssl):([0-9]+)", str(shell.args))
    if place is not None:
        scheme = "https" if place[1] == "ssl" else "http"
        until(partial(_answers, f"{scheme}://127.0.0.1:{place[2]}/healthz"), what=text)
    assert shell.poll() is None, (text, log.read_text(errors="replace"))


def _answers(url: str) -> bool:
    # Whose certificate it is, is no matter here.
    trust = ssl._create_unverified_context()
    with suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_SECONDS, context=trust):
        return True
    return False
