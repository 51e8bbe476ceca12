"""Daemons that twistd puts into the background: they start, or say why not, and they stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.rigs.daemons import START_SECONDS, STOP_SECONDS, Site, free_port, until
from vidlink.sentinel.spool.layout import TRAILER_MAGIC


def _start(folder: Path, plugin: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Start a daemon as an operator would, without ``-n``; what that said."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    return subprocess.run(
        [*command, "--pidfile=pid", "--logfile=log", plugin, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class TestBackground:
    """Without ``-n``."""

    def test_start_and_stop(self, site: Site) -> None:
        """The start returns when the port is taken; SIGTERM ends the daemon, pid file and all."""
        listen = f"tcp:{site.port}:interface=127.0.0.1"
        started = _start(site.folder, "vidlink-server", "--listen", listen, "--data", "data")
        pid_file = site.folder / "pid"
        assert started.returncode == 0, started.stderr
        pid = int(pid_file.read_text())
        try:
            assert until(lambda: site.get_json("/healthz"))
            os.kill(pid, signal.SIGTERM)
            until(lambda: not pid_file.exists(), STOP_SECONDS, what="it has ended")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        assert (site.folder / "data").is_dir()
        assert "Server Shut Down" in (site.folder / "log").read_text()

    def test_refused_start(self, tmp_path: Path) -> None:
        """A daemon that cannot start says why at once, with status 1, and leaves no pid file."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            busy = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            no_port = _start(tmp_path, "vidlink-server", "--listen", busy, "--data", "data")
        free = f"tcp:{free_port()}:interface=127.0.0.1"
        no_folder = _start(tmp_path, "vidlink-server", "--listen", free, "--data", "log")
        for refused, why in ((no_port, "cannot listen on"), (no_folder, "the data folder")):
            assert refused.returncode == 1
            assert why in refused.stderr
            assert "Traceback" not in refused.stderr + (tmp_path / "log").read_text()
            assert not (tmp_path / "pid").exists()

    def test_spool(self, tmp_path: Path) -> None:
        """A Sentinel in the background writes its spool, and holds it by the number of the
        process that is in the background; it stops in order."""
        server = f"ws://127.0.0.1:{free_port()}"
        options = ("--id", "desk-12", "--source", "test", "--server", server, "--spool", "spool")
        started = _start(tmp_path, "vidlink-sentinel", *options)
        assert started.returncode == 0, started.stderr
        pid_file = tmp_path / "pid"
        pid = int(pid_file.read_text())
        folder = tmp_path / "spool" / "sentinels" / "desk-12"
        try:
            assert until(lambda: list(folder.glob("*/*.chunk")), START_SECONDS)
            assert int((folder / "lock").read_text()) == pid
            os.kill(pid, signal.SIGTERM)
            until(lambda: not pid_file.exists(), STOP_SECONDS, what="it has ended")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        (chunk,) = folder.glob("*/*.chunk")
        assert chunk.read_bytes()[-8:-4] == TRAILER_MAGIC
