"""Passwords guessed at from many addresses, and a school that comes in beside wrong tokens.

``VIDLINK_GUESSES`` wrong passwords (600) from ``VIDLINK_GUESSERS`` addresses (20); run with
``-s``, the test of them says what it has seen.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.rows import guess_tokens
from tests.hostile.target import SLACK, Target, put_token
from tests.rigs.scripted import Scripted, p99
from vidlink.access.credentials import Credentials, User
from vidlink.access.hashing import hash_password
from vidlink.messages import Message, SentinelRegister, SentinelRegistered
from vidlink.model import (
    USUAL,
    Role,
)

GUESSES = int(os.environ.get("VIDLINK_GUESSES", "600"))
GUESSERS = int(os.environ.get("VIDLINK_GUESSERS", "20"))
#: Guesses that are under way: more than may wait to be checked.
AT_ONCE = 360
PASSWORD = "correct horse battery staple"
#: A check takes so long on a processor of its own.
CHECK_SECONDS = 0.35
#: So late the reactor may be, ...
MOST_LAG_SECONDS = 0.05
#: ... and a refusal.
REFUSAL_SECONDS = 0.5
#: A school: so many sentinels at one address are in within this.
SCHOOL, SCHOOL_SECONDS = 1_000, 5.0


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A server of its own, as these addresses may show nothing wrong for a while."""
    found = Target(tmp_path / "site")
    yield found
    found.watched.stop()
    found.site.stop()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Guessing:
    """The guesses, and what came of them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.left = GUESSES
        self.statuses: Counter[int] = Counter()
        self.refused_seconds: list[float] = []

    async def log_in(self, address: str, user: str, password: str) -> int:
        """The status of one login from `address`."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(address, 0)
        )
        try:
            return await self._try(reader, writer, user, password)
        finally:
            writer.close()

    async def connect(self, number: int) -> Streams:
        """A connection from one of the addresses."""
        address = f"127.0.1.{1 + number}"
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    async def guess(self, streams: Streams) -> None:
        """Guess on one connection until all guesses together have been made."""
        reader, writer = streams
        try:
            while self.left:
                self.left -= 1
                # Every other one is for somebody who is there.
                user = "ada" if self.left % 2 else f"nobody-{self.left}"
                began = time.monotonic()
                status = await self._try(reader, writer, user, f"guess {self.left}")
                self.statuses[status] += 1
                if status == 429:
                    self.refused_seconds.append(time.monotonic() - began)
        finally:
            writer.close()

    async def _try(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str, password: str
    ) -> int:
        body = json.dumps({"user": user, "password": password}).encode()
        head = (
            f"POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: ([0-9]+)", answer)
        assert length is not None
        await reader.readexactly(int(length[1]))
        return int(answer.split(b" ")[1])


async def _guessed(target: Target) -> tuple[Guessing, list[float], float]:
    """Guess, and log in meanwhile as somebody who has logged in there before, and as somebody who
    has not; how long each of these took, and how late the loop was before."""
    guessing = Guessing(target.port)
    assert await guessing.log_in("127.0.0.9", "ada", PASSWORD) == 200
    streams = [await guessing.connect(number % GUESSERS) for number in range(AT_ONCE)]
    await asyncio.sleep(1.5)
    quiet_seconds = await asyncio.to_thread(_lag_seconds, target)
    guesses = []
    for one in streams:
        guesses.append(asyncio.create_task(guessing.guess(one)))
        # Not all of them in one read of the loop: what one read costs is not asked here.
        await asyncio.sleep(0.005)
    took = []
    for address, user in (("127.0.0.9", "ada"), ("127.0.0.9", "ada"), ("127.0.0.10", "bea")):
        began = time.monotonic()
        assert await guessing.log_in(address, user, PASSWORD) == 200, user
        took.append(time.monotonic() - began)
    while guessing.left:
        await asyncio.sleep(0.1)
    # Those that wait to be checked are refused at some time, of which nothing more is learnt.
    for guess in guesses:
        guess.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    return guessing, took, quiet_seconds


def _lag_seconds(target: Target) -> float:
    """The longest that the server's loop was late in the last minute."""
    status, _, body = target.site.get("/metrics")
    assert status == 200
    found = re.search(rb"^vidlink_event_loop_lag_seconds (\S+)", body, re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.quiet
@pytest.mark.timeout(120 + GUESSES // 20)
def test_passwords(target: Target) -> None:
    """While hundreds of wrong passwords come from many addresses, whoever has logged in before does
    so at once, whoever has not in the turn of one address; most guesses are refused before they
    are checked; and neither the loop nor whoever watches is held up."""
    book = Credentials(str(target.site.data))
    for name in ("ada", "bea"):
        roles = frozenset({Role.PROCTOR})
        book.put_user(User(name, hash_password(PASSWORD), roles, None, 0), is_new=True)
    book.close()
    time.sleep(2.5)
    began = time.monotonic()
    guessing, took, quiet_seconds = asyncio.run(_guessed(target))
    all_seconds = time.monotonic() - began
    lag_seconds = _lag_seconds(target)
    delays = target.watched.since(began)
    refused = sorted(guessing.refused_seconds)
    beside = ", ".join(f"{one:.2f}" for one in took)
    median, last = refused[len(refused) // 2], p99(refused)
    print(
        f"{GUESSES} guesses from {GUESSERS} addresses in {all_seconds:.1f} s: "
        f"{dict(guessing.statuses)}; logins beside them took {beside} s; "
        f"refusals {median:.3f} s, p99 {last:.3f} s; "
        f"the loop was late by {lag_seconds:.3f} s, p99 of segments {p99(delays):.0f} ms"
    )
    assert set(guessing.statuses) <= {401, 429}
    assert guessing.statuses[429] >= GUESSES - USUAL.waiting_passwords - all_seconds / 0.1
    assert median < SLACK * REFUSAL_SECONDS
    # The one that is being checked, and one's own.
    assert max(took[:2]) < SLACK * 2 * CHECK_SECONDS
    assert took[2] < SLACK * (GUESSERS + 2) * CHECK_SECONDS
    assert lag_seconds < SLACK * max(MOST_LAG_SECONDS, quiet_seconds)
    assert target.watched.gaps() == []


class Arriving(Scripted):
    """A sentinel that comes in."""

    def __init__(self, port: int, number: int, token: str) -> None:
        super().__init__("/ws/sentinel", port, token=token)
        self.registered = asyncio.get_running_loop().create_future()
        self._number = number

    def greet(self) -> None:
        """Register."""
        name = f"pupil-{self._number}"
        self.say(SentinelRegister(name, "one", "school/1", f"the-session-of-{name}"))

    def hear(self, message: Message) -> None:
        """It is in."""
        if isinstance(message, SentinelRegistered):
            self.registered.set_result(None)


async def _school(port: int, tokens: list[str]) -> float:
    """Let all come at once; how long until the last one is in."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()

    async def come(number: int, token: str) -> Arriving:
        _, link = await loop.create_connection(
            lambda: Arriving(port, number, token), "127.0.0.1", port
        )
        await link.registered
        return link

    links = await asyncio.gather(*(come(number, token) for number, token in enumerate(tokens)))
    took = time.monotonic() - began
    for link in links:
        link.transport.close()
    return took


@pytest.mark.quiet
def test_school(target: Target) -> None:
    """A thousand sentinels with tokens of their own come in from one address within seconds, also
    where so many wrong tokens have come from there that these are refused."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    book, names = Credentials(str(target.site.data)), [f"pupil-{n}" for n in range(SCHOOL)]
    tokens = [put_token(book, name, Role.SENTINEL, sentinel_id=name) for name in names]
    book.close()
    assert guess_tokens(target) == 429
    time.sleep(2.5)
    took = asyncio.run(_school(target.port, tokens))
    print(f"{SCHOOL} sentinels in {took:.1f} s")
    assert took < SLACK * SCHOOL_SECONDS
    assert target.watched.gaps() == []
