"""Files and folders of twistd's own that it cannot use, with the real command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = "from twisted.scripts.twistd import run; run()"


@pytest.mark.parametrize("plugin", ["vidlink-server", "vidlink-sentinel"])
@pytest.mark.parametrize("option", ["--pidfile", "--logfile", "--rundir"])
def test_nowhere(tmp_path: Path, plugin: str, option: str) -> None:
    """A folder that is not there, or a file in the place of one, is one line and status 1."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere" / "x", tmp_path / "file" / "x"):
        for how in ([], ["-n"]):
            more = ["--id", "desk-1"] if plugin == "vidlink-sentinel" else []
            pid = [] if option == "--pidfile" else ["--pidfile="]
            command = [sys.executable, "-c", RUN, *how, *pid, f"{option}={path}", plugin, *more]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
            said = done.stderr.decode()
            assert (done.returncode, said.count("\n")) == (1, 1), said
            assert option in said
            assert str(path) in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
