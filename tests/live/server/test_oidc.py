"""Logging in at a real identity provider: Glewlwyd, an OpenID Connect server in C that Debian has.

It is set up as its own pages would do it, over its API: a key, a client, users with groups. A
person in front of a browser is two cookie jars here: one that logs in at Glewlwyd, and one for the
server. A real browser is in :mod:`tests.browser.test_provider`.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.rigs.daemons import START_SECONDS, Site, free_port, until
from tests.rigs.needs import do_without, need
from tests.rigs.tls import SelfSigned, self_signed
from vidlink.access.credentials import Credentials, Everything, User

SCHEMA = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
MODULES = "/usr/lib/glewlwyd"
PASSWORD = "open sesame"
SECRET = "between-us-alone"
#: Before its first administrator has another one.
FIRST = {"username": "admin", "password": "password"}
CONFIGURATION = """
port={port}
bind_address="127.0.0.1"
external_url="{url}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="ERROR"
cookie_secure=0
session_expiration=3600
session_key="SESSION"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
static_files_path="{folder}/pages"
static_files_mime_types = ( {{ extension = ".html"; mime_type = "text/html" }} )
hash_algorithm="SHA512"
use_secure_connection={is_secure}
secure_connection_key_file="{keys.key_path}"
secure_connection_pem_file="{keys.certificate_path}"
database = {{ type = "sqlite3"; path = "{folder}/glewlwyd.db"; }};
"""
#: Its login page, as short as it can be; the address to go on at is in that of the page.
PAGE = """<!doctype html><title>The school</title><link rel="icon" href="data:,">
<input id="name"><input id="password" type="password"><button id="on">On</button>
<script>
async function send(method, path, value) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers, body: JSON.stringify(value) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
}
document.getElementById("on").onclick = async () => {
  const [username, password] = ["name", "password"].map((id) => document.getElementById(id).value);
  await send("POST", "/api/auth/", { username, password });
  await send("PUT", "/api/auth/grant/vidlink/", { scope: "openid" });
  location.href = `${new URLSearchParams(location.search).get("callback_url")}&g_continue=`;
};
</script>
"""
KEPT = {"multiple": True, "read": True, "write": True, "profile-read": True}


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_: Any) -> None:
        """Nowhere."""


@dataclass(frozen=True)
class Answer:
    """What a browser is answered."""

    status: int
    headers: Any
    body: bytes

    @property
    def location(self) -> str:
        """The place that it is sent to."""
        return str(self.headers["Location"])


class Browser:
    """A browser as far as cookies go; where it is sent, it goes when it is told to."""

    def __init__(self, keys: SelfSigned | None = None) -> None:
        self.cookies = CookieJar()
        jar = urllib.request.HTTPCookieProcessor(self.cookies)
        tls = urllib.request.HTTPSHandler(context=None if keys is None else keys.context())
        self._opener = urllib.request.build_opener(jar, tls, _Stays)

    def ask(self, url: str, method: str = "GET", value: object = None) -> Answer:
        """Ask for `url`, maybe with JSON."""
        data = None if value is None else json.dumps(value).encode()
        headers = {"Content-Type": "application/json"} if data else {"Accept": "text/html"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=START_SECONDS) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())


class Glewlwyd:
    """The provider on a port of its own, with its database in `folder`; over TLS or not."""

    def __init__(self, folder: Path, callback: str, is_secure: bool) -> None:
        program = need("glewlwyd")
        if not SCHEMA.exists():
            do_without(f"needs {SCHEMA} of the package glewlwyd-common")
        (folder / "pages").mkdir(parents=True)
        (folder / "pages" / "login.html").write_text(PAGE)
        self.port = free_port()
        self.keys = self_signed(folder / "keys")
        self.url = f"{'https' if is_secure else 'http'}://localhost:{self.port}"
        self.issuer = f"{self.url}/api/oidc"
        with closing(sqlite3.connect(folder / "glewlwyd.db")) as database:
            database.executescript(SCHEMA.read_text())
        path = folder / "glewlwyd.conf"
        text = CONFIGURATION.format(
            port=self.port,
            url=self.url,
            folder=folder,
            modules=MODULES,
            keys=self.keys,
            is_secure=str(is_secure).lower(),
        )
        path.write_text(text)
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [program, "-c", str(path)], stdout=self._log, stderr=self._log
        )
        try:
            self._set_up(callback)
        except BaseException:
            self.end()
            raise

    def user(self, name: str, *groups: str) -> None:
        """Make a user with these groups, or change one."""
        user = {"username": name, "name": name.title(), "password": PASSWORD, "enabled": True}
        user.update(scope=["openid", "g_profile"], groups=list(groups))
        if self.admin.ask(f"{self.url}/api/user/{name}").status == 200:
            self._done("PUT", f"/api/user/{name}", user)
        else:
            self._done("POST", "/api/user/", user)

    def logged_in(self, name: str) -> Browser:
        """A browser in which a user has logged in there, and let the server know who it is."""
        browser = Browser(self.keys)
        self._done("POST", "/api/auth/", {"username": name, "password": PASSWORD}, browser)
        self._done("PUT", "/api/auth/grant/vidlink/", {"scope": "openid"}, browser)
        return browser

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(START_SECONDS)
        self._log.close()

    def _set_up(self, callback: str) -> None:
        self.admin = Browser(self.keys)
        until(self._answers, what="Glewlwyd answers")
        self._done("POST", "/api/auth/", FIRST)
        users = json.loads(self.admin.ask(f"{self.url}/api/mod/user/database").body)
        users["parameters"]["data-format"]["groups"] = KEPT
        self._done("PUT", "/api/mod/user/database", users)
        self._done("PUT", "/api/mod/user/database/reset/")
        self._done("POST", "/api/mod/plugin/", self._plugin())
        client = {
            "client_id": "vidlink",
            "name": "VidLink",
            "enabled": True,
            "confidential": True,
            "password": SECRET,
            "redirect_uri": [callback],
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic"],
            "scope": [],
        }
        self._done("POST", "/api/client/", client)

    def _plugin(self) -> object:
        key = rsa.generate_private_key(65537, 2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        groups = {"name": "groups", "user-property": "groups", "type": "string", "mandatory": True}
        parameters = {
            "iss": self.issuer,
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": private.decode(),
            "cert": public.decode(),
            "access-token-duration": 3600,
            "refresh-token-duration": 3600,
            "code-duration": 600,
            "refresh-token-rolling": False,
            "allow-non-oidc": False,
            "auth-type-code-enabled": True,
            "auth-type-token-enabled": False,
            "auth-type-id-token-enabled": True,
            "auth-type-none-enabled": False,
            "auth-type-password-enabled": False,
            "auth-type-client-enabled": False,
            "auth-type-refresh-enabled": False,
            # It takes nobody who does not do it.
            "pkce-allowed": True,
            "pkce-required": True,
            "pkce-method-plain-allowed": False,
            "jwks-show": True,
            "subject-type": "public",
            "name-claim": "mandatory",
            "claims": [{**groups, "scope": []}],
        }
        return {"module": "oidc", "name": "oidc", "display_name": "-", "parameters": parameters}

    def _answers(self) -> bool:
        assert self.process.poll() is None, "Glewlwyd has ended"
        with suppress(OSError):
            return self.admin.ask(f"{self.url}/config").status == 200
        return False

    def _done(
        self, method: str, path: str, value: object = None, browser: Browser | None = None
    ) -> None:
        answer = (browser or self.admin).ask(f"{self.url}{path}", method, value)
        assert answer.status == 200, (method, path, answer.status, answer.body)


class School:
    """A server whose people are at Glewlwyd: `staff-it` administers, `teachers` are proctors."""

    def __init__(self, site: Site, *, is_secure: bool = False) -> None:
        self.site = site
        # To browsers another site than that of the provider, which is at localhost.
        self.url = site.url
        callback = f"{self.url}/api/v1/oidc/callback"
        self.provider = Glewlwyd(site.folder / "glewlwyd", callback, is_secure)
        secret = site.folder / "secret"
        secret.write_text(f"{SECRET}\n")
        self.options = (
            *("--oidc-issuer", self.provider.issuer, "--oidc-name", "the school"),
            *("--oidc-client-id", "vidlink", "--oidc-client-secret-file", str(secret)),
            *("--oidc-role", "administrator=staff-it", "--oidc-role", "proctor=teachers"),
            *("--oidc-groups-claim", "groups"),
        )

    def start(self, *, trusts: bool = True) -> None:
        """Start the server, which knows the certificate of the provider, or does not."""
        certificates = {"SSL_CERT_FILE": str(self.provider.keys.certificate_path)}
        self.daemon = self.site.start_server(*self.options, environ=certificates if trusts else {})

    def there_and_back(self, name: str, browser: Browser) -> Answer:
        """What somebody is answered who comes back from the provider, having logged in there."""
        start = browser.ask(f"{self.url}/api/v1/oidc/start")
        assert start.status == 303, (start.status, start.body)
        there = self.provider.logged_in(name)
        # It shows its own page first, and goes on from there.
        sent = there.ask(f"{start.location}&g_continue=")
        assert sent.status == 302, (sent.status, sent.body)
        assert sent.location.startswith(f"{self.url}/api/v1/oidc/callback?"), sent.location
        self.back = sent.location
        return browser.ask(sent.location)

    def everything(self) -> Everything:
        """All credentials of the server."""
        credentials = Credentials(str(self.site.data))
        with closing(credentials):
            return credentials.read()

    def user(self) -> User:
        """The one user that the server knows."""
        (found,) = self.everything().users
        return found

    def me(self, browser: Browser) -> Any:
        """What the server says of who asks; None if it does not know them."""
        answer = browser.ask(f"{self.url}/api/v1/me")
        return json.loads(answer.body) if answer.status == 200 else None


@pytest.fixture
def school(site: Site) -> Iterator[School]:
    """A server and its provider, both of them running, the provider over TLS."""
    made = School(site, is_secure=True)
    try:
        made.start()
        yield made
    finally:
        made.provider.end()


def test_log_in(school: School) -> None:
    """Whoever is known to the provider is let in with the roles and the groups that it says; a
    changed role ends the logins before; whoever has no role is told so; and nothing that only the
    two servers may know is in the log."""
    school.provider.user("ada", "teachers", "room-1")
    school.provider.user("eve", "pupils")
    browser = Browser()
    assert json.loads(browser.ask(f"{school.url}/api/v1/oidc").body) == {"name": "the school"}
    assert school.me(browser) is None

    answer = school.there_and_back("ada", browser)
    assert (answer.status, answer.location) == (303, "../../../"), answer.body
    me = school.me(browser)
    assert me["may"] == ["watch", "control"], me
    assert [cookie.name for cookie in browser.cookies] == ["vidlink"]
    user = school.user()
    assert user.password is None
    assert user.groups == frozenset({"teachers", "room-1"})
    assert {one.user_name for one in school.everything().logins} == {user.name}
    assert browser.ask(school.back).status == 403, "a code is good once"

    other = Browser()
    refused = school.there_and_back("eve", other)
    assert refused.status == 403
    assert b"nothing that it says of you gives you a role" in refused.body
    assert school.me(other) is None

    school.provider.user("ada", "staff-it")
    elsewhere = Browser()
    assert school.there_and_back("ada", elsewhere).status == 303
    assert "delete" in school.me(elsewhere)["may"]
    assert school.me(browser) is None, "a login with the rights of before"
    assert (school.user().name, school.user().groups) == (user.name, None)

    assert elsewhere.ask(f"{school.url}/api/v1/login", "DELETE").status == 200
    assert school.me(elsewhere) is None
    code = parse_qs(urlsplit(school.back).query)["code"][0]
    for secret in (SECRET, code, "eyJ"):
        assert secret not in school.daemon.log()


def test_gone(school: School) -> None:
    """While the provider is away people are told so in a sentence, and those who are in stay."""
    school.provider.user("ada", "teachers", "room-1")
    browser = Browser()
    assert school.there_and_back("ada", browser).status == 303
    start = browser.ask(f"{school.url}/api/v1/oidc/start")
    sent = school.provider.logged_in("ada").ask(f"{start.location}&g_continue=")
    school.provider.process.kill()
    school.provider.process.wait()
    answer = browser.ask(sent.location)
    assert answer.status == 502
    assert b"The identity provider cannot be reached" in answer.body
    assert school.me(browser) is not None


def test_untrusted(school: School) -> None:
    """A provider whose certificate nobody vouches for is not used, and the log says why."""
    school.daemon.stop()
    school.start(trusts=False)
    browser = Browser()
    answer = browser.ask(f"{school.url}/api/v1/oidc/start")
    assert (answer.status, list(browser.cookies)) == (502, [])
    assert b"The identity provider cannot be reached" in answer.body
    school.daemon.logged("the identity provider .* cannot be used: .*certificate verify failed")
