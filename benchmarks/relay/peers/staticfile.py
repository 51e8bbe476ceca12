"""Twisted's own server of files, without a log: ``staticfile.py PORT FOLDER``."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.server import Site
from twisted.web.static import File

reactor: Any = _reactor


class Quiet(Site):
    """Notes no request anywhere."""

    def log(self, request: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    folder = File(sys.argv[2])
    folder.contentTypes[".mp4"] = "video/mp4"
    reactor.listenTCP(int(sys.argv[1]), Quiet(folder), 1024, "127.0.0.1")
    reactor.run()
