"""The audit trail as a person reads it, and looks whether it is whole."""

from __future__ import annotations

import json

from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site


def test_listed_and_looked_at(site: Site) -> None:
    """What was done is listed, newest first, by whoever may; it is whole while a server runs and
    when none does, and one octet that is changed shows, with a status of 1."""
    site.be_administrator()
    server = site.start_server()
    assert vidlink(site, "login", "nobody", input=b"guess").returncode != 0
    listed = vidlink(site, "audit")
    assert listed.returncode == 0, listed
    head, *rows = listed.stdout.decode().splitlines()
    assert head.split() == ["ENTRY", "WHEN", "WHO", "FROM", "DEED", "ABOUT"]
    assert "login-refused" in rows[0]
    assert "server-started" in rows[-1]
    (refused,) = vidlink(site, "audit", "--deed", "login-refused", "--json").stdout.splitlines()
    assert json.loads(refused)["deed"] == "login-refused"
    stranger = {"env": {"PATH": "/nowhere"}}
    assert b"Traceback" not in vidlink(site, "audit", "--server", site.url, **stranger).stderr
    assert vidlink(site, "audit", "--server", site.url, **stranger).returncode != 0

    looked = "audit", "--verify", "--data", str(site.data)
    assert b"whole: " in vidlink(site, *looked).stderr + vidlink(site, *looked).stdout
    assert server.stop() == 0
    assert vidlink(site, *looked).returncode == 0
    (trail,) = (site.data / "audit").glob("*.jsonl")
    trail.write_bytes(trail.read_bytes().replace(b"login-refused", b"login-accepted", 1))
    changed = vidlink(site, *looked)
    assert changed.returncode == 1
    assert changed.stderr.startswith(b"vidlink audit: ")
    assert b"name the data folder" in vidlink(site, "audit", "--verify").stderr
