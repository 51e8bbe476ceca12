"""Servers of files, for what is recorded: nginx, and Twisted's own."""

from __future__ import annotations

import sys
from pathlib import Path

import twisted
from benchmarks.relay.peers.others import Nginx, Other
from benchmarks.relay.tools import Tools
from tests.rigs.tls import SelfSigned

_HERE = Path(__file__).parent


class NginxFiles(Nginx):
    """The folder `www` beside its own."""

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """With sendfile."""
        return self.configure(port, folder, {"SETTINGS": f"root {folder.parent / 'www'};"})


class StaticFile(Other):
    """Twisted's ``static.File``."""

    def version(self, tools: Tools) -> str:
        """It is always there."""
        return twisted.__version__

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """Without a log."""
        return [sys.executable, str(_HERE / "staticfile.py"), str(port), str(folder.parent / "www")]
