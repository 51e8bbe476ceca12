"""The peers of ``examples/node`` as processes, and a film for them."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.rigs.cached import install, once
from tests.rigs.needs import need

EXAMPLES = Path(__file__).parents[2] / "examples"


class Nodes:
    """Started in `folder`, where their output is too; all are ended by `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._node = need("node")
        self._peers: list[subprocess.Popen[bytes]] = []
        installed = packages()
        for file in (EXAMPLES / "node").glob("*.mjs"):
            shutil.copy(file, folder)
        (folder / "node_modules").symlink_to(installed / "node_modules")

    def start(self, script: str, *arguments: str) -> NodePeer:
        """Run ``examples/node/SCRIPT.mjs`` with `arguments`."""
        log = self.folder / f"{script}-{len(self._peers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [self._node, f"{script}.mjs", *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._peers.append(process)
        return NodePeer(process, log)

    def stop(self) -> None:
        """End them all."""
        for process in self._peers:
            process.kill()
            process.wait()


class NodePeer:
    """One of them, running."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")


def packages() -> Path:
    """The folder whose ``node_modules`` the examples need, installed when it is first asked for."""
    return once(f"node-{_digest()}", _install)


def film(path: Path, *, seconds: int, rate: int, keyframe_every: int) -> Path:
    """A film made by the command that the examples' README gives, but for these figures."""
    (command,) = re.findall(r"^ffmpeg .*$", (EXAMPLES / "README.md").read_text("utf-8"), re.M)
    figures = {
        ":duration=60": f":duration={seconds}",
        ":rate=5": f":rate={rate}",
        "size=640x360": "size=320x180",
        "-g 25": f"-g {keyframe_every}",
    }
    for written, wanted in figures.items():
        assert written in command, written
        command = command.replace(written, wanted)
    _, *options, _ = shlex.split(command)
    subprocess.run(
        [need("ffmpeg"), "-v", "error", "-nostdin", *options, os.fspath(path)],
        check=True,
        timeout=60,
    )
    return path


def as_sent(film: Path) -> bytes:
    """The init and the segments of `film` as a sentinel sends them, one behind the other.

    FFmpeg counts fragments from 1, we from 0; and it ends a file with an index (`mfra`).
    """
    data = bytearray(film.read_bytes())
    for number, mfhd in enumerate(re.finditer(b"mfhd", data)):
        place = mfhd.end() + 4
        assert int.from_bytes(data[place : place + 4]) == number + 1
        data[place : place + 4] = number.to_bytes(4)
    end = data.rfind(b"mfra")
    return bytes(data[: end - 4] if end >= 0 else data)


def _digest() -> str:
    """What the installed packages depend on."""
    return hashlib.sha256((EXAMPLES / "node" / "package.json").read_bytes()).hexdigest()[:12]


def _install(room: Path) -> None:
    shutil.copy(EXAMPLES / "node" / "package.json", room)
    npm = [need("npm"), "install", "--no-audit", "--no-fund", "--no-package-lock"]
    install([*npm, "--prefix", os.fspath(room)])
