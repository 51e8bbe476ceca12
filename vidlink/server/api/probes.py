"""``/healthz``, ``/readyz`` and ``/metrics``: for whoever watches the server itself.

They answer from memory, whatever the disk does. What they say is found out in
:mod:`vidlink.server.health.health` and :mod:`vidlink.server.health.metrics`.
"""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request

from vidlink.server.api.answers import answer_failure, answer_now, answer_text
from vidlink.server.api.parameters import Query
from vidlink.server.health.health import OK, RETENTION, Health
from vidlink.server.health.metrics import CONTENT_TYPE, Metrics


class Probes:
    """The paths that tell of the server itself."""

    app = Klein()

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    def resource(self) -> IResource:
        """The resource that answers these paths; it is a leaf."""
        return self.app.resource()

    @app.route("/healthz", methods=["GET"])
    def healthz(self, request: Request) -> bytes:
        """The process is alive."""
        Query(request.uri)
        return answer_now(request, {"status": OK})

    @app.route("/readyz", methods=["GET"])
    def readyz(self, request: Request) -> bytes:
        """Everything that is sent is shown and recorded; and what else there is to know."""
        Query(request.uri)
        checks = self._health.checks()
        is_ready = all(words == OK for name, words in checks.items() if name != RETENTION)
        if not is_ready:
            request.setResponseCode(503)
        return answer_now(request, {"status": OK if is_ready else "trouble", "checks": checks})

    @app.route("/metrics", methods=["GET"])
    def metrics(self, request: Request) -> bytes:
        """Every figure, for Prometheus."""
        Query(request.uri)
        return answer_text(request, self._metrics.text(), CONTENT_TYPE)

    @app.handle_errors(Exception)
    def refuse(self, request: Any, failure: Failure) -> bytes:
        """Every error of the above, and of the table itself."""
        return answer_failure(request, failure)
