"""What is attacked: a real server with credentials, a room that is watched on it, and attackers."""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.daemons import Site, free_port, until
from tests.rigs.frames import CLOSE, Frames, handshake
from tests.rigs.process import Usage, usage
from tests.rigs.scripted import p99
from tests.rigs.tls import self_signed
from vidlink.access.credentials import Credentials, Token
from vidlink.access.hashing import digest_of, new_token
from vidlink.model import Role

MIB = 1024 * 1024
JSON, BINARY_FORMAT, CBOR, PROTOBUF = (
    f"vidlink.v1.{name}" for name in ("json", "binary", "cbor", "protobuf")
)
#: What is measured may be so many times what it usually is, on a machine that is busy.
SLACK = 5
#: A segment is to be there within this (faults are to cost nobody more).
MOST_DELAY_MS = 250.0
#: So many segments are looked at in the least for each attack.
LEAST_SEGMENTS = 5
PATIENCE_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A segment on the proctor's screen."""

    sentinel_id: str
    sequence: int
    sent_seconds: float
    came_seconds: float

    @property
    def delay_ms(self) -> float:
        """How long it was on its way."""
        return (self.came_seconds - self.sent_seconds) * 1_000


class Watched:
    """The room, and all that its proctor has seen."""

    def __init__(self, port: int, token: str, tokens: Iterable[str], folder: Path) -> None:
        self.path = folder / "seen"
        words = [sys.executable, "-m", "tests.hostile.watching", str(port), token, *tokens]
        root = Path(__file__).parents[2]
        with self.path.open("wb") as seen, (folder / "watching.log").open("wb") as log:
            self.process = subprocess.Popen(words, stdout=seen, stderr=log, cwd=root)
        self._read, self._rest = 0, b""
        self.seen: list[Seen] = []
        self.troubles: list[str] = []

    def look(self) -> None:
        """Take in what it has said since."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            words = line.decode().split()
            if len(words) == 4:
                seen = Seen(words[0], int(words[1]), float(words[2]), float(words[3]))
                self.seen.append(seen)
            else:
                self.troubles.append(line.decode())

    def since(self, began_seconds: float) -> list[float]:
        """The delays of at least some segments that were sent since, in order."""

        def enough() -> list[float]:
            assert self.process.poll() is None, self.path.with_name("watching.log").read_text()
            self.look()
            delays = [one.delay_ms for one in self.seen if one.sent_seconds >= began_seconds]
            return sorted(delays) if len(delays) >= LEAST_SEGMENTS else []

        return until(enough, what="segments arrive")

    def gaps(self) -> list[str]:
        """What is missing, of any sentinel, and whatever else was wrong."""
        found = list(self.troubles)
        last: dict[str, int] = {}
        for one in self.seen:
            if one.sequence != last.get(one.sentinel_id, one.sequence - 1) + 1:
                found.append(f"{one.sentinel_id} before {one.sequence}")
            last[one.sentinel_id] = one.sequence
        return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class Target:
    """A server on loopback, over TCP and TLS; its tokens, and who watches on it.

    :param folder: for all its files.
    """

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self.tls_port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        keys = self_signed(folder / "keys")
        self.tls = keys.context()
        self.proctor = self.token("proctor", Role.PROCTOR)
        self.auditor = self.token("auditor", Role.AUDITOR)
        self.sentinel = self.token("bad", Role.SENTINEL, sentinel_id="bad")
        self.expired = self.token("expired", Role.PROCTOR, expires_us=1)
        rooms = [
            self.token(f"watched-{n}", Role.SENTINEL, sentinel_id=f"watched-{n}") for n in range(4)
        ]
        self.server = self.site.start_server("--listen", keys.endpoint(self.tls_port))
        self.watched = Watched(self.site.port, self.proctor, rooms, folder)
        self.watched.since(time.monotonic())
        before, began = self.usage(), time.monotonic()
        self.quiet_ms = p99(self.watched.since(began))
        spent = self.usage().processor_seconds - before.processor_seconds
        #: What the room costs, of one processor.
        self.quiet_share = spent / (time.monotonic() - began)

    @property
    def port(self) -> int:
        """Where it listens without TLS."""
        return self.site.port

    def token(
        self, name: str, *roles: Role, sentinel_id: str | None = None, expires_us: int | None = None
    ) -> str:
        """A new token; its secret."""
        book = Credentials(str(self.site.data))
        secret = put_token(book, name, *roles, sentinel_id=sentinel_id, expires_us=expires_us)
        book.close()
        return secret

    def revoke(self, name: str) -> None:
        """Revoke the token of that name."""
        book = Credentials(str(self.site.data))
        book.remove_token(name)
        book.close()

    def usage(self) -> Usage:
        """What the server has and has cost, now."""
        return usage(self.server.process.pid)

    def forget_peak(self) -> None:
        """Let the most that it has had in memory begin anew (proc(5), ``clear_refs``)."""
        Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")

    def connect(self, *, is_secure: bool = False, address: str = "127.0.0.1") -> socket.socket:
        """A bare connection from `address`; a stranger's side of TLS takes any certificate."""
        link = socket.socket()
        link.bind((address, 0))
        link.settimeout(PATIENCE_SECONDS)
        link.connect(("127.0.0.1", self.tls_port if is_secure else self.port))
        if is_secure:
            return self.tls.wrap_socket(link)
        return link

    def ask(self, request: bytes, **how: object) -> int:
        """The status of the first answer to `request`; 0 if there is none."""
        with self.connect(**how) as link:  # type: ignore[arg-type]
            with suppress(OSError):
                link.sendall(request)
            return status_of(link)

    def get(self, path: str, *lines: str, token: str | None = None, method: str = "GET") -> int:
        """The status of a request."""
        shown = () if token is None else (f"Authorization: Bearer {token}",)
        head = (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *shown, *lines, "", "")
        return self.ask("\r\n".join(head).encode("utf-8", "surrogateescape"))

    def shake(self, path: str, *lines: str, token: str | None = None, offer: str = JSON) -> int:
        """The status of a handshake."""
        data = handshake(path, offer, f"127.0.0.1:{self.port}", token)
        more = "".join(f"{line}\r\n" for line in lines).encode()
        return self.ask(data[:-2] + more + b"\r\n")

    def open(self, path: str, token: str, offer: str = JSON, *, is_secure: bool = False) -> Open:
        """A WebSocket that is open."""
        link = self.connect(is_secure=is_secure)
        host = f"127.0.0.1:{self.tls_port if is_secure else self.port}"
        link.sendall(handshake(path, offer, host, token))
        return Open(link)

    def close_code(
        self, path: str, *octets: bytes, offer: str = JSON, is_secure: bool = False
    ) -> int:
        """Open a WebSocket as somebody who is let in, send `octets`; the code of the close."""
        token = self.sentinel if "sentinel" in path else self.proctor
        with self.open(path, token, offer, is_secure=is_secure).link as link:
            with suppress(OSError):
                for some in octets:
                    link.sendall(some)
            return code_of(link)


def put_token(
    book: Credentials,
    name: str,
    *roles: Role,
    sentinel_id: str | None = None,
    expires_us: int | None = None,
) -> str:
    """Keep a new token in `book`; its secret."""
    secret = new_token()
    book.put_token(
        Token(
            token_id=name,
            digest=digest_of(secret),
            name=name,
            roles=frozenset(roles),
            groups=None,
            sentinel_id=sentinel_id,
            sentinel_group=None,
            created_us=time.time_ns() // 1_000,
            expires_us=expires_us,
        )
    )
    return secret


class Open:
    """A WebSocket's client side."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._frames = Frames()
        while not self._frames.has_opened:
            octet = link.recv(1)
            assert octet, "it is closed"
            assert not list(self._frames.feed(octet))

    def next(self) -> tuple[int, bytes]:
        """The next frame of the server's; the link is closed if there is none: (0, nothing)."""
        while True:
            data = self.link.recv(65_536)
            if not data:
                return 0, b""
            for frame in self._frames.feed(data):
                return frame


def status_of(link: socket.socket) -> int:
    """The status of the answer that comes on `link`; 0 if it is closed without one."""
    said = b""
    with suppress(ConnectionError, ssl.SSLError):
        while b"\r\n" not in said and (data := link.recv(65_536)):
            said += data
    return int(said.split(b" ")[1]) if said.startswith(b"HTTP/1.") else 0


def code_of(link: socket.socket) -> int:
    """The code with which the server closes `link`; 0 if it does so without one."""
    frames = Frames()
    frames.has_opened = True
    with suppress(ConnectionError, ssl.SSLError):
        while data := link.recv(65_536):
            for opcode, payload in frames.feed(data):
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2])
    return 0


def session_id() -> str:
    """Another session."""
    return secrets.token_urlsafe(16)
