"""The relays of others: nginx with nchan, Node with ws, Autobahn, picows, and one in C.

Each does what its maker shows for passing messages on, and no more: none keeps, checks or asks.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from getpass import getuser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from unittest import SkipTest

from benchmarks.relay.peers.running import Running, start
from benchmarks.relay.tools import Tools
from tests.live.nodes import packages
from tests.rigs.daemons import free_port, until
from tests.rigs.needs import Missing
from tests.rigs.tls import SelfSigned

_HERE = Path(__file__).parent
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_OPTIONS = ("--publish-path", "/pub/%", "--view-path", "/sub/%")


@dataclass(frozen=True)
class Other:
    """One of them; `title` is what readers know it by."""

    name: str
    title: str

    def version(self, tools: Tools) -> str:
        """The version that is here; nothing if it is not."""
        raise NotImplementedError

    def start(self, folder: Path, tools: Tools, tls: SelfSigned | None) -> Running:
        """Start it, with TLS or without."""
        port = free_port()
        running = start(self.command(port, folder, tools, tls), port, folder)
        return Running(running.process, port, _OPTIONS)

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """The command that becomes it."""
        raise NotImplementedError


class InC(Other):
    """The limit of the machine."""

    def version(self, tools: Tools) -> str:
        """It is compiled here."""
        return "ours"

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """It knows no TLS."""
        return [tools.compile("peers/relay.c"), str(port)]


class Nginx(Other):
    """A server of nginx's, by a configuration of ours."""

    def version(self, tools: Tools) -> str:
        """As it says."""
        program = shutil.which("nginx")
        if program is None:
            return ""
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        return said.rpartition("/")[2].strip()

    def start(self, folder: Path, tools: Tools, tls: SelfSigned | None) -> Running:
        """What is measured is its worker, which comes a little later than its port."""
        running = super().start(folder, tools, tls)
        until(lambda: "," in running.pids, what="nginx has a worker")
        return running

    def configure(self, port: int, folder: Path, filled: dict[str, str]) -> list[str]:
        """The command, with its configuration written."""
        text = (_HERE / "nginx.conf").read_text()
        filled = {"FOLDER": str(folder), "PORT": str(port), "USER": getuser(), **filled}
        for name in ("MODULE", "SETTINGS", "TLS", "LOCATIONS"):
            filled.setdefault(name, "")
        for name, value in filled.items():
            text = text.replace(f"@{name}@", value)
        path = folder / "nginx.conf"
        path.write_text(text)
        return ["nginx", "-p", str(folder), "-c", str(path)]


class Nchan(Nginx):
    """nginx's module for publishing and subscribing."""

    def version(self, tools: Tools) -> str:
        """That of nginx, if the module is there too."""
        return super().version(tools) if _NCHAN.exists() else ""

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """Ten messages of each stream are kept, as little as it works with."""
        filled = {
            "MODULE": f"load_module {_NCHAN};",
            "SETTINGS": "nchan_shared_memory_size 1024m; client_max_body_size 8m;",
            "LOCATIONS": (_HERE / "nchan.conf").read_text(),
        }
        if tls is not None:
            filled["TLS"] = " ssl"
            filled["SETTINGS"] += (
                f"ssl_certificate {tls.certificate_path}; ssl_certificate_key {tls.key_path};"
            )
        return self.configure(port, folder, filled)


class Ws(Other):
    """Node's usual library."""

    def version(self, tools: Tools) -> str:
        """Of the library and of Node, if both are there or can be installed."""
        try:
            folder = packages()
        except (SkipTest, Missing):
            return ""
        read = (
            "process.stdout.write(require('ws/package.json').version + ', Node ' + process.version)"
        )
        return subprocess.run(
            ["node", "-e", read], cwd=folder, capture_output=True, text=True, check=True
        ).stdout

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """A copy beside its library."""
        shutil.copy(_HERE / "ws.mjs", folder)
        (folder / "node_modules").symlink_to(packages() / "node_modules")
        keys = [] if tls is None else [str(tls.key_path), str(tls.certificate_path)]
        return ["node", "ws.mjs", str(port), *keys]


class Python(Other):
    """A library of Python's."""

    def version(self, tools: Tools) -> str:
        """As its package says."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return ""


class Picows(Python):
    """Frames cut in Cython, on uvloop."""

    def version(self, tools: Tools) -> str:
        """It needs uvloop as well."""
        try:
            return f"{super().version(tools)}, uvloop {version('uvloop')}"
        except PackageNotFoundError:
            return ""

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """It is run without TLS."""
        return [sys.executable, str(_HERE / "picowsrelay.py"), str(port)]


class Autobahn(Python):
    """What VidLink is built on, as it is."""

    def command(self, port: int, folder: Path, tools: Tools, tls: SelfSigned | None) -> list[str]:
        """On the usual reactor."""
        endpoint = f"tcp:{port}:interface=127.0.0.1" if tls is None else tls.endpoint(port)
        return [sys.executable, str(_HERE / "prepared.py"), f"{endpoint}:backlog=1024"]
