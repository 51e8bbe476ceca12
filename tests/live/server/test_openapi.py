"""The OpenAPI document against a real server, by thousands of requests that are made from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.daemons import Site, until
from vidlink.access.credentials import Credentials, Token
from vidlink.access.hashing import digest_of, new_token
from vidlink.model import Role
from vidlink.server.api import openapi
from vidlink.server.api.parameters import MAX_RANGE

#: Ten times what it takes on two cores.
SECONDS = 200.0
#: A condition or a range that does not hold is no fault of the request's, and has a status of its
#: own (RFC 9110 sections 13 and 14). That a server fails is never right.
CONFIG = """
seed = 1

[generation]
deterministic = true
max-examples = {examples}

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 414, 415, 429]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 307, 404, 412, 416, 401, 403, 429]

# This server lets in whoever shows nothing, too, so that a sentinel can; what happens to them where
# it does not is looked at with the stranger.
[checks.ignored_auth]
enabled = false
"""
#: How requests succeed.
DONE = (200, 202, 206, 304, 307)


def generate(
    site: Site, known: dict[str, object], token: str, examples: int
) -> subprocess.CompletedProcess[str]:
    """Send requests to `site`, right ones and wrong ones, and check every answer."""
    config = site.folder / "schemathesis.toml"
    config.write_text(CONFIG.format(examples=examples))
    # Taken from the server itself, it would leave out the path of the document.
    document = site.folder / "openapi.json"
    document.write_text(json.dumps(openapi.document()))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    options = ["--phases=coverage,fuzzing", "--continue-on-failure", "--no-color"]
    shown = ["--header", f"Authorization: Bearer {token}"] if token else []
    return subprocess.run(
        [*command, *options, *shown, "--url", site.url, str(document)],
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


def answers(log: Path) -> set[tuple[str, int]]:
    """Every operation, and how it was answered; anybody may ask which there are."""
    return {
        (str(operation), int(status))
        for operation, status in map(json.loads, log.read_text().splitlines())
        if not operation.startswith("OPTIONS ")
    }


def operations() -> set[str]:
    """All that there are."""
    paths = openapi.document()["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


@pytest.mark.timeout(2 * SECONDS + 60)
def test_document_is_true(site: Site) -> None:
    """What the document allows is taken, what it forbids is refused, methods that it does not
    name are not allowed, and each answer has a status, a type, headers and a body as it says: to an
    administrator, a proctor and an auditor, and to each only what is theirs."""
    server = site.start_server("--no-auth")
    first = site.start_sentinel("desk-1", "--keyframe-interval", "1")
    ended = site.live_session("desk-1")
    site.recorded("desk-1", ended, 10)
    first.stop()
    site.start_sentinel("desk-1", "--keyframe-interval", "1")
    live = site.live_session("desk-1", other_than=ended)
    site.recorded("desk-1", live, 1)
    after = site.get_json("/api/v1/sessions?limit=1")["next"]
    known = {
        "sentinelId": "desk-1",
        "sessionId": ended,
        "held": live,
        "after": after,
        "range": MAX_RANGE,
    }
    for role, examples in ((Role.ADMINISTRATOR, 30), (Role.PROCTOR, 3), (Role.AUDITOR, 3)):
        log = site.folder / f"answers of {role.value}"
        token = token_of(site, role)
        shown = {"Authorization": f"Bearer {token}"}
        until(lambda: site.get("/api/v1/me", shown)[0] == 200, what="the token is known")  # noqa: B023
        done = generate(site, {**known, "log": str(log)}, token, examples)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in server.log()
        seen = answers(log)
        # Else the checks would have had nothing but refusals to look at.
        taken = {operation for operation, status in seen if status in DONE}
        # A token is no login, of which these are about.
        assert taken - OF_LOGINS == allowed(role) - OF_LOGINS, role
        refused = {operation for operation, status in seen if status == 403}
        assert refused.isdisjoint(allowed(role) - OF_LOGINS), role
        if role is Role.ADMINISTRATOR:
            assert {status for _, status in seen} >= {206, 304, 400, 404, 405, 412, 415}


def test_stranger(site: Site) -> None:
    """A stranger gets nothing but the probes, and to try a password, whatever is asked for."""
    token_of(site, Role.PROCTOR)
    server = site.start_server()
    log = site.folder / "answers"
    known = dict.fromkeys(("sentinelId", "sessionId", "held", "after"), "x" * 16)
    done = generate(site, {**known, "range": 1, "log": str(log)}, "", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in server.log()
    taken = {operation for operation, status in answers(log) if status in DONE}
    assert taken == PROBES | ELSEWHERE


def token_of(site: Site, role: Role) -> str:
    """A token with that role."""
    site.data.mkdir(exist_ok=True)
    secret = new_token()
    token = Token(
        *(role.value, digest_of(secret), role.value, frozenset({role}), None),
        *(None, None, 0, None),
    )
    credentials = Credentials(str(site.data))
    credentials.put_token(token)
    credentials.close()
    return secret


PROBES = {
    f"{method} /{name}" for method in ("GET", "HEAD") for name in ("healthz", "readyz", "metrics")
}
OF_LOGINS = {operation for operation in operations() if "/login" in operation}
AUDITS = {
    f"{method} /api/v1/{name}"
    for method in ("GET", "HEAD")
    for name in ("audit", "receipts", "retention")
}
#: Where else one can log in: told to strangers too.
ELSEWHERE = {f"{method} /api/v1/oidc" for method in ("GET", "HEAD")}
EVERYBODYS = (
    PROBES
    | ELSEWHERE
    | {f"{method} /api/v1/{name}" for method in ("GET", "HEAD") for name in ("me", "openapi.json")}
)


#: Of machines that ask for a token of their own, and of those who look after them.
ENROLS = "POST /api/v1/enrolments"
MANAGES = {f"{method} /api/v1/enrolments" for method in ("GET", "HEAD")}


def allowed(role: Role) -> set[str]:
    """What a role may do, all groups being its own."""
    if role is Role.ADMINISTRATOR:
        return operations() - {ENROLS}
    if role is Role.AUDITOR:
        return EVERYBODYS | AUDITS
    return {
        operation
        for operation in operations() - AUDITS - MANAGES - {ENROLS}
        if not (operation.startswith("DELETE") or operation.endswith("/hold"))
    }
