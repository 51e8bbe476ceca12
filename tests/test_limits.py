"""The table of limits, held against what is in force."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access import gate, guesses, hashing, misses, tickets
from vidlink.access.enrolments import USUAL_MOST
from vidlink.access.oidc.provider import MOST_EXCHANGES
from vidlink.access.oidc.returning import MOST_GOING, MOST_GOING_EACH
from vidlink.bucket import Allowance
from vidlink.links.ingest.conversation import REGISTRATION_SECONDS as INGEST_SECONDS
from vidlink.links.rate import MESSAGES
from vidlink.links.watch.conversation import MAX_REPLIES
from vidlink.links.watch.conversation import REGISTRATION_SECONDS as WATCH_SECONDS
from vidlink.liveness import PONG_SECONDS, STALL_SECONDS
from vidlink.relay.alarms import MAX_ALARMS
from vidlink.relay.hub import MAX_AWAITED, MAX_SENTINELS
from vidlink.relay.stream import SESSIONS
from vidlink.server.api.bodies import STRETCH_BYTES
from vidlink.server.port.channel import Bounds, Channel
from vidlink.server.port.door import NEWCOMERS_PER_TURN
from vidlink.server.port.held import LEAST_BYTES, MOST_SHARE
from vidlink.server.port.lobby import MOST, Lobby
from vidlink.server.port.shares import MOST_REQUESTS_EACH, MOST_SOCKETS_EACH
from vidlink.server.sockets.ingest import MAX_UNREAD, IngestFactory
from vidlink.server.sockets.link import CONTROL_FRAMES, LINGER_SECONDS, MAX_FRAMES_PER_MESSAGE
from vidlink.server.sockets.paced import FRAMES_PER_TURN, REST_SECONDS
from vidlink.server.tap import Options
from vidlink.store.files.sound import MOST_PARTS
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_DEPTH, MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "limits.md"
KIB, MIB, GIB = 1024, 1024 * 1024, 1024 * 1024 * 1024


def rows() -> Iterator[tuple[str, str]]:
    """The names of all limits, and their defaults."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "limit":
            yield cells[0], cells[1]


def size(octets: int) -> str:
    """A size as people say it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if octets % unit == 0:
            return f"{octets // unit} {name}"
    raise AssertionError(octets)


def rate(allowance: Allowance) -> str:
    """So much, and so much a second."""
    return f"{allowance.burst:,}, and {allowance.per_second:,g} a second"


def seconds(value: float) -> str:
    """A time."""
    return f"{value:g} s"


class LimitsTests(SynchronousTestCase):
    """Each line has the value that is in force."""

    maxDiff = None

    def test_table(self) -> None:
        """All of them, in order."""
        bounds, options, lobby = Bounds(), Options(), Lobby(Clock(), 16 * 1024)
        options.parseOptions([])
        self.assertEqual(INGEST_SECONDS, WATCH_SECONDS)
        self.assertEqual(MAX_UNREAD, MAX_REPLIES)
        self.assertEqual(options["most-sockets"], MOST_SOCKETS_EACH)
        self.assertEqual(options["most-requests"], MOST_REQUESTS_EACH)
        self.assertEqual(lobby.most_open, 15 * 1024)
        self.assertEqual(lobby.most_staying, 14 * 1024)
        self.assertEqual(lobby.most_asking, 4 * 1024)
        self.assertEqual(lobby.most, 2 * 1024)
        self.assertEqual(
            list(rows()),
            [
                ("descriptors in use", "15/16 of those the process may have"),
                ("descriptors in use, for an upgrade", "7/8 of them"),
                (
                    "connections that ask for nothing, or are not known yet",
                    f"1/8 of all descriptors, and {MOST:,}",
                ),
                ("the same, of one place", "half of that"),
                ("connections that wait for their turn besides", "1/4 of all descriptors"),
                (
                    "requests, handshakes and registrations begun in a turn of the loop",
                    f"{NEWCOMERS_PER_TURN} of each",
                ),
                ("time for a request's header", seconds(bounds.header_seconds)),
                ("time for a request's body", seconds(bounds.body_seconds)),
                ("time without a request", seconds(bounds.idle_seconds)),
                (
                    "time in which nothing of an answer is taken",
                    seconds(bounds.stall_seconds),
                ),
                ("time for a registration", seconds(INGEST_SECONDS)),
                ("time in which a WebSocket takes nothing", seconds(STALL_SECONDS)),
                ("time for the other side of a close", seconds(LINGER_SECONDS)),
                ("time in which a peer says nothing after a ping", seconds(PONG_SECONDS)),
                (
                    "sockets on which one credential watches",
                    f"{MOST_SOCKETS_EACH} (`--most-sockets`)",
                ),
                ("sockets of sentinels with one credential", f"{IngestFactory.most_each:,}"),
                ("a request's line", size(bounds.target_bytes)),
                ("a request's header", size(Channel.totalHeadersSize)),
                ("a request's headers", f"{Channel.maxHeaders}"),
                ("a request's body", size(bounds.body_bytes)),
                (
                    "what comes behind a request that is being answered",
                    f"{size(bounds.held_bytes)} and one read",
                ),
                (
                    "a message of a proctor, or of one who has not registered",
                    size(MAX_CONTROL_BYTES),
                ),
                ("a message of a sentinel", size(MAX_MESSAGE_BYTES)),
                ("frames of one message", f"{MAX_FRAMES_PER_MESSAGE}"),
                ("maps and lists inside of each other", f"{MAX_DEPTH}"),
                (
                    "maps, lists and their elements in a message that is larger than "
                    f"{size(MAX_CONTROL_BYTES)}",
                    f"{MAX_MEDIA_PARTS}",
                ),
                ("a password", f"{hashing.MOST_PASSWORD} characters"),
                (
                    "frames of one connection",
                    f"{FRAMES_PER_TURN}, then a rest of {REST_SECONDS * 1000:g} ms",
                ),
                ("pings and pongs of one connection", rate(CONTROL_FRAMES)),
                ("messages of one connection, but for segments", rate(MESSAGES)),
                ("sessions begun by one sentinel", rate(SESSIONS)),
                ("wrong tokens and tickets of one place", rate(misses.WRONG)),
                (
                    "wrong passwords of one address, or for one name",
                    f"{guesses.MOST_WRONG}, and one in {seconds(guesses.FORGIVEN_SECONDS)}",
                ),
                ("passwords that wait to be checked", f"{guesses.MOST_WAITING}"),
                ("the same, of one address", f"{guesses.MOST_WAITING_EACH}"),
                ("passwords that are checked at a time", "1"),
                ("people on their way to an identity provider, or back", f"{MOST_GOING}"),
                ("the same, of one address", f"{MOST_GOING_EACH}"),
                ("codes that are exchanged there at a time", f"{MOST_EXCHANGES}"),
                (
                    "memory of all streams",
                    f"{size(options['buffer-total-bytes'])} (`--buffer-total-bytes`)",
                ),
                (
                    "messages that have begun to come, of all peers",
                    f"1/{MOST_SHARE} of that, and at least {size(LEAST_BYTES)}",
                ),
                (
                    "answers over HTTP that are not taken, of all clients",
                    f"1/{MOST_SHARE} of that, and at least {size(LEAST_BYTES)}",
                ),
                (
                    "requests of one credential that are being answered; without credentials, "
                    "of one place",
                    f"{MOST_REQUESTS_EACH} (`--most-requests`)",
                ),
                ("answers on one WebSocket that are not read", f"{MAX_REPLIES:,}"),
                ("what is sent of one film in a turn of the loop", size(STRETCH_BYTES)),
                ("parts that are open for reading", f"{MOST_PARTS}, and 1/32 of all descriptors"),
                (
                    "segments that wait for the disk",
                    f"{size(options['queue-bytes'])} (`--queue-bytes`)",
                ),
                ("sentinels that are remembered", f"{MAX_SENTINELS:,}"),
                ("sentinels that are waited for", f"{MAX_AWAITED:,}"),
                ("alarms that wait for a proctor that is slow", f"{MAX_ALARMS:,}"),
                ("logins of one user", f"{gate.MOST_LOGINS}"),
                ("tickets of one credential", f"{tickets.MOST_EACH}"),
                ("tickets of all", f"{tickets.MOST:,}"),
                (
                    "machines that one token enrols",
                    f"{USUAL_MOST} (`vidlink token add --most`)",
                ),
            ],
        )

    def test_options(self) -> None:
        """Each option that the table names is one, and what is beyond each limit is said."""
        text = PAGE.read_text("utf-8")
        known = {f"--{name.rstrip('=')}" for name in Options().longOpt}
        for name in re.findall(r"`(--[a-z-]+)`", text):
            self.assertIn(name, known)
        for line in text.splitlines():
            if line.startswith("| "):
                self.assertTrue(all(cell.strip() for cell in line.strip("|").split("|")), line)
