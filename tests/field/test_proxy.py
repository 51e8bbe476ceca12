"""``etc/nginx.conf`` in a real nginx before a real server, on a port other than 443."""

from __future__ import annotations

import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websocket import WebSocketBadStatusException

from tests.rigs.daemons import START_SECONDS, Site, free_port, until
from tests.rigs.needs import need
from tests.rigs.proctor import LiveProctor
from tests.rigs.tls import SelfSigned, self_signed
from vidlink.messages import Subscribe
from vidlink.model import InitSegment

CONFIGURATION = Path(__file__).parents[2] / "etc" / "nginx.conf"
PASSWORD = "somebody:a-secret"
#: The rest of a configuration, which Debian's package brings: one process, all in one folder.
AROUND = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/vidlink.conf;
}}
"""


class Nginx:
    """A server behind nginx, by the tree's own configuration; only places and names are put in."""

    def __init__(self, site: Site) -> None:
        program = need("nginx")
        self.site = site
        self.folder = site.folder / "nginx"
        self.folder.mkdir()
        self.port = free_port()
        self.origin = f"https://localhost:{self.port}"
        self.keys: SelfSigned = self_signed(site.folder / "keys")
        name, _, secret = PASSWORD.partition(":")
        (self.folder / "htpasswd").write_text(f"{name}:{{PLAIN}}{secret}\n")
        (self.folder / "vidlink.conf").write_text(self._configured())
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder))
        command = [program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def serve(self) -> None:
        """Start the server behind it, and wait until there is an answer."""
        self.site.start_server("--allow-origin", self.origin)
        until(lambda: self.get("/healthz")[0] == 200, what="nginx answers")

    def _configured(self) -> str:
        text = CONFIGURATION.read_text()
        for told, ours in (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("127.0.0.1:8080", f"127.0.0.1:{self.site.port}"),
            ("vidlink.example.org", "localhost"),
            ("/etc/ssl/vidlink/fullchain.pem", str(self.keys.certificate_path)),
            ("/etc/ssl/vidlink/privkey.pem", str(self.keys.key_path)),
            ("/etc/nginx/vidlink.htpasswd", str(self.folder / "htpasswd")),
            ("10.0.0.0/8", "127.0.0.0/8"),
        ):
            assert told in text, told
            text = text.replace(told, ours)
        return text

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """Have curl ask for `path`, with the certificate checked."""
        command = [need("curl"), "-sS", "--cacert", str(self.keys.certificate_path), *options]
        return subprocess.run(
            [*command, self.origin + path], capture_output=True, timeout=START_SECONDS
        )

    def get(self, path: str, *options: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        body, _, status = self.curl(path, "-w", "\n%{http_code}", *options).stdout.rpartition(b"\n")
        return int(status), body.strip()

    def proctor(self, origin: str) -> LiveProctor:
        """A page of `origin`, whose reader has given the password."""
        context = ssl.create_default_context(cafile=str(self.keys.certificate_path))
        credential = b64encode(PASSWORD.encode()).decode()
        return LiveProctor(
            self.origin.replace("https", "wss", 1),
            origin=origin,
            sslopt={"context": context},
            header=[f"Authorization: Basic {credential}"],
        )

    def stop(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        self.process.wait()


@pytest.fixture
def nginx(site: Site) -> Iterator[Nginx]:
    """One that answers, and its server."""
    made = Nginx(site)
    try:
        made.serve()
        yield made
    finally:
        made.stop()


def test_everything_goes_through(nginx: Nginx) -> None:
    """Page, interface, media and both WebSockets work through the proxy, and a page of its own
    address may use them; who gives no password gets nothing, and another page neither."""
    site = nginx.site
    sentinel = f"tls:localhost:{nginx.port}:trustRoots={nginx.keys.folder}"
    site.start_sentinel("desk-1", "--fps", "5", "--server", sentinel)
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 5)

    user = ("-u", PASSWORD)
    assert nginx.get("/")[0] == 401
    assert b"<title>" in nginx.get("/", *user)[1]
    path = f"/api/v1/sentinels/desk-1/sessions/{session}/segments/0-4"
    whole = nginx.get(path, *user, "-H", f"Origin: {nginx.origin}")
    _, headers, media = site.get(path)
    assert whole == (200, media)
    same = ("-H", f"If-Range: {headers['ETag']}")
    assert nginx.curl(path, *user, "-r", "100-199", *same).stdout == media[100:200]
    keyframe = ("-X", "POST", "-H", "Content-Type: application/json", "-d", "{}")
    ours, theirs = ("-H", f"Origin: {nginx.origin}"), ("-H", "Origin: https://localhost")
    asked = "/api/v1/sentinels/desk-1/keyframe"
    assert nginx.get(asked, *user, *keyframe, *ours)[0] in (200, 202, 204)
    assert nginx.get(asked, *user, *keyframe, *theirs)[0] == 403

    proctor = nginx.proctor(nginx.origin)
    proctor.say(Subscribe("desk-1"))
    proctor.wait_for(InitSegment)
    with pytest.raises(WebSocketBadStatusException, match="403"):
        nginx.proctor("https://localhost")
    assert nginx.get("/metrics")[0] == 200
