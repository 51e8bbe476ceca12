"""VidLink itself: the daemon as an operator starts it, with tokens for who sends and who watches.

Everything is on: recording to disk, index, checks, limits, rights.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vidlink
from benchmarks.relay.peers.running import Running
from benchmarks.relay.tools import Tools, beside_server
from tests.rigs.daemons import START_SECONDS, Site, free_port
from tests.rigs.process import usage
from tests.rigs.tls import SelfSigned
from vidlink.model import Role
from vidlink.wire.binary import BinaryCodec

_HERE = Path(__file__).parent
#: So many tokens share the connections: one has at most a hundred open, those included of which the
#: server has not heard yet that they are gone.
_SENDERS, _VIEWERS = 24, 4


@dataclass(frozen=True)
class Vidlink:
    """The server on one of its transports; `title` is what readers know it by."""

    name: str
    title: str
    transport: str = "direct"
    is_recording: bool = True

    def version(self, tools: Tools) -> str:
        """That of the tree."""
        return vidlink.__version__

    def start(self, folder: Path, tools: Tools, tls: SelfSigned | None) -> OurRunning:
        """Start it on a new data folder, or on one that a server has left in `folder`."""
        site = Site(folder)
        senders = [site.token_for(f"senders-{n}", Role.SENTINEL) for n in range(_SENDERS)]
        viewers = [site.token_for(f"viewers-{n}", Role.PROCTOR) for n in range(_VIEWERS)]
        site.be_administrator()
        words, port = ["--transport", self.transport], site.port
        if tls is not None:
            port = free_port()
            words += ["--listen", tls.endpoint(port)]
        before = () if self.is_recording else (sys.executable, str(_HERE / "unrecorded.py"))
        with beside_server():
            daemon = site.start_server(*words, before=before)
        options = ["--publish-path", "/ws/sentinel", "--publisher-tokens", ",".join(senders)]
        options += ["--view-path", "/ws/proctor", "--viewer-tokens", ",".join(viewers)]
        options += ["--view-protocol", BinaryCodec.name]
        return OurRunning(daemon.process, port, tuple(options), site, viewers[0])


@dataclass(frozen=True, slots=True)
class OurRunning(Running):
    """A server of ours, and the site that it is at."""

    site: Site | None = None
    token: str = ""

    def address(self, path: str) -> str:
        """Where a recording stays as it is, by the redirection from `path`."""
        assert self.site is not None
        request = urllib.request.Request(
            self.site.url + path, headers=self.site.headers, method="HEAD"
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return str(answer.url).removeprefix(self.site.url)

    def memory(self) -> dict[str, Any]:
        """What it has in memory now, and how much of that are buffered segments."""
        assert self.site is not None
        _, _, body = self.site.get("/metrics")
        resident = usage(self.process.pid).resident_bytes
        found = re.search(rb"^vidlink_buffer_bytes (\S+)", body, re.MULTILINE)
        assert found is not None, body
        return {"held_octets": float(found[1]), "resident_octets": resident}

    def stop(self) -> None:
        """Cut it off: what is still queued for the disk is of no use to anybody."""
        assert self.site is not None
        self.site.stop()
