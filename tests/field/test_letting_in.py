"""From an empty folder to a server for others, by the commands of the guide and no others."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.rigs.commands import VIDLINK
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.documented import commands

PASSWORD = "correct horse battery"
GROUPS = {"desk-12": "Room A", "desk-13": "Room A", "desk-20": "Room B"}
#: Who sees whom.
SEEN = {
    "ada": {"desk-12", "desk-13", "desk-20"},
    "grace": {"desk-12", "desk-13"},
    "edsger": {"desk-20"},
}


def _guide() -> list[str]:
    """The commands of the section, from the first credential to the server."""
    texts = [one.text for one in commands() if one.page == "docs/guide/server.md"]
    first = next(place for place, text in enumerate(texts) if text.startswith("vidlink user add"))
    last = next(place for place, text in enumerate(texts) if "--listen ssl:" in text)
    return texts[first : last + 1]


def _server(site: Site, text: str) -> Daemon:
    """The server of the guide, on a port that is free."""
    words = shlex.split(text)
    options = " ".join(words[words.index("vidlink-server") + 1 :])
    options = options.replace("/var/lib/vidlink", "data").replace("ssl:8443", f"ssl:{site.port}")
    return Daemon("vidlink-server", options.split(), site.folder)


def _vidlink(
    site: Site, person: str, *words: str, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command of a person with settings of their own."""
    mine = {**os.environ, "XDG_CONFIG_HOME": str(site.folder / person)}
    command = [*VIDLINK, *words]
    return subprocess.run(
        command, input=typed, capture_output=True, text=True, cwd=site.folder, env=mine
    )


def test_by_the_guide(site: Site) -> None:
    """Refused at first, with the commands that it takes; after no more than eight of them there is
    a server over TLS with an administrator, two proctors who see their own groups, and three
    sentinels; and nobody sees anything without a credential."""
    guide = _guide()
    assert len(guide) <= 8
    (made,) = (shlex.split(text)[1:] for text in guide if text.startswith("vidlink certificate"))
    assert _vidlink(site, "root", *made).returncode == 0
    refused = _server(site, guide[-1])
    assert refused.process.wait(60) == 1
    (line,) = refused.log().splitlines()
    advised = re.findall(r"'(vidlink [^']*)'", line)
    assert [one.split()[1:3] for one in advised] == [["user", "add"], ["token", "add"]]
    assert "--no-auth" in line
    for text in (one for one in guide[:-1] if shlex.split(one)[1:] != made):
        words, _, file = text.replace("/var/lib/vidlink", "data").partition(" > ")
        run = _vidlink(site, "root", *shlex.split(words)[1:], typed=PASSWORD)
        assert run.returncode == 0, run
        if file:
            (site.folder / file).write_text(run.stdout)
            (site.folder / file).chmod(0o600)
    server = _server(site, guide[-1])
    sentinels = []
    try:
        server.logged("starting on")
        address = f"https://127.0.0.1:{site.port}"
        for sentinel_id, group in GROUPS.items():
            options = ["--id", sentinel_id, "--group", group, "--server", address]
            options += ["--ca", "certificate.pem", "--token-file", f"{sentinel_id}.token"]
            options += ["--source", "test"]
            options += ["--max-size", "320x240", "--fps", "1"]
            sentinels.append(Daemon("vidlink-sentinel", options, site.folder))
        for sentinel in sentinels:
            sentinel.logged("registered at")
        refused_to = _vidlink(site, "nobody", "ls", "--server", address, "--ca", "certificate.pem")
        assert refused_to.returncode == 1
        assert re.fullmatch(r"vidlink ls: .*vidlink login.*\n", refused_to.stderr), refused_to
        for person, seen in SEEN.items():
            login = _vidlink(
                site,
                person,
                "login",
                person,
                "--server",
                address,
                "--ca",
                "certificate.pem",
                typed=PASSWORD,
            )
            assert login.returncode == 0, login

            def listed(person: str = person) -> set[str]:
                found = _vidlink(site, person, "ls", "--server", address, "--ca", "certificate.pem")
                assert found.returncode == 0, found
                return set(re.findall(r"^desk-\d+", found.stdout, re.M))

            assert until(listed, what=person) == seen
        _check_rights(site, address)
    finally:
        for daemon in (*sentinels, server):
            daemon.stop()
    secrets = [PASSWORD, *(Path(site.folder, f"{one}.token").read_text().strip() for one in GROUPS)]
    logs = server.log() + "".join(sentinel.log() for sentinel in sentinels)
    assert [secret for secret in secrets if secret in logs] == []
    assert "Traceback" not in logs


def _check_rights(site: Site, address: str) -> None:
    """A proctor may not delete, nor look at other groups by asking for them by name."""
    other = _vidlink(site, "grace", "ls", "desk-20", "--server", address, "--ca", "certificate.pem")
    assert "desk-20 " not in other.stdout
    rows = _vidlink(
        site, "ada", "ls", "desk-12", "--json", "--server", address, "--ca", "certificate.pem"
    ).stdout
    found = re.search(r'"sessionId": ?"([^"]+)"', rows)
    assert found is not None
    held = ["hold", "desk-12", found[1], "--server", address, "--ca", "certificate.pem"]
    refused = _vidlink(site, "grace", *held)
    assert refused.returncode == 1
    assert "does not give the right" in refused.stderr
    assert _vidlink(site, "ada", *held).returncode == 0
