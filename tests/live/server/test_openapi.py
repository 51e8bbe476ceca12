"""The OpenAPI document against a real server, by thousands of requests that are made from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.daemons import Site
from vidlink.server.api.parameters import MAX_RANGE

#: Ten times what it takes on two cores.
SECONDS = 200.0
#: A condition or a range that does not hold is no fault of the request's, and has a status of its
#: own (RFC 9110 sections 13 and 14). That a server fails is never right.
CONFIG = """
seed = 1

[generation]
deterministic = true
max-examples = 30

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 307, 404, 412, 416]
"""


def generate(site: Site, known: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Send requests to `site`, right ones and wrong ones, and check every answer."""
    config = site.folder / "schemathesis.toml"
    config.write_text(CONFIG)
    # Taken from the server itself, it would leave out the path of the document.
    document = site.folder / "openapi.json"
    document.write_bytes(site.get("/api/v1/openapi.json")[2])
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    options = ["--phases=coverage,fuzzing", "--continue-on-failure", "--no-color"]
    return subprocess.run(
        [*command, *options, "--url", site.url, str(document)],
        # Not in the tree, where it would keep what it found for the next time.
        cwd=site.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "SCHEMATHESIS_HOOKS": "tests.live.server.generated",
            "VIDLINK_GENERATED": json.dumps(known),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.timeout(SECONDS + 60)
def test_document_is_true(site: Site) -> None:
    """What the document allows is taken, what it forbids is refused, methods that it does not
    name are not allowed, and each answer has a status, a type, headers and a body as it says."""
    server = site.start_server("--allow-delete")
    first = site.start_sentinel("desk-1", "--keyframe-interval", "1")
    ended = site.live_session("desk-1")
    site.recorded("desk-1", ended, 10)
    first.stop()
    site.start_sentinel("desk-1", "--keyframe-interval", "1")
    live = site.live_session("desk-1", other_than=ended)
    site.recorded("desk-1", live, 1)
    after = site.get_json("/api/v1/sessions?limit=1")["next"]
    log = site.folder / "answers"
    known = {
        "sentinelId": "desk-1",
        "sessionId": ended,
        "held": live,
        "after": after,
        "range": MAX_RANGE,
    }
    done = generate(site, {**known, "log": str(log)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in server.log()

    answers = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    paths = site.get_json("/api/v1/openapi.json")["paths"]
    operations = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    # Else the checks would have had nothing but refusals to look at.
    assert {operation for operation, status in answers if status in (200, 202, 307)} == operations
    assert {status for _, status in answers} >= {206, 304, 400, 404, 405, 412, 415}
