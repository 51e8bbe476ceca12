"""The limits of a server that its operator may turn, each with a safe default.

``docs/reference/limits.md`` has them in one table with what happens beyond each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_MIB = 1024 * 1024


def _bound(usual: float, lowest: float, highest: float) -> Any:
    return field(default=usual, metadata={"range": (lowest, highest)})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that peers may cost, in time, in octets, in number and a second.

    `linger_seconds` is how long a refused request is still read, so that the refusal arrives, and
    then how long the client may take to close.
    """

    # Connections.
    descriptors: int = _bound(_MIB, 64, _MIB)
    # All of them are 100 MB of memory.
    waiting_connections: int = _bound(4096, 8, _MIB)
    waiting_connections_per_place: int = _bound(2048, 4, _MIB)
    # Some ten milliseconds, all that follows included.
    newcomers_per_turn: int = _bound(4, 1, 1000)
    # Of those that are lost, some ten milliseconds too.
    sockets_per_turn: int = _bound(128, 8, _MIB)
    header_seconds: float = _bound(5.0, 0.1, 3600)
    body_seconds: float = _bound(30.0, 0.1, 3600)
    idle_seconds: float = _bound(60.0, 0.1, 3600)
    stall_seconds: float = _bound(300.0, 1, 86_400)
    linger_seconds: float = _bound(2.0, 0.1, 60)
    registration_seconds: float = _bound(10.0, 0.1, 3600)
    socket_stall_seconds: float = _bound(30.0, 1, 3600)
    close_seconds: float = _bound(3.0, 0.1, 60)
    pong_seconds: float = _bound(20.0, 1, 3600)
    sockets_per_credential: int = _bound(100, 1, _MIB)
    sentinels_per_credential: int = _bound(5000, 1, _MIB)
    # Sizes.
    target_bytes: int = _bound(4 * 1024, 1024, _MIB)
    header_bytes: int = _bound(16 * 1024, 1024, _MIB)
    headers: int = _bound(500, 20, 10_000)
    body_bytes: int = _bound(64 * 1024, 1024, 16 * _MIB)
    held_bytes: int = _bound(16 * 1024, 1024, 16 * _MIB)
    # Assembling many costs more than their bytes.
    frames_per_message: int = _bound(64, 1, 10_000)
    # Rates.
    frames_per_turn: int = _bound(32, 1, 500)
    rest_seconds: float = _bound(0.005, 0.001, 1)
    control_frames: int = _bound(300, 10, _MIB)
    control_frames_per_second: float = _bound(10.0, 1, 10_000)
    # A viewer may subscribe to every sentinel that there can be at once.
    messages: int = _bound(20_000, 100, _MIB)
    messages_per_second: float = _bound(1000.0, 1, _MIB)
    sessions: int = _bound(30, 1, 10_000)
    sessions_per_second: float = _bound(0.1, 0.001, 100)
    wrong_tokens_per_place: int = _bound(300, 1, _MIB)
    wrong_tokens_per_second: float = _bound(5.0, 0.001, 10_000)
    guesses_per_place: int = _bound(100, 1, 100_000)
    seconds_per_guess: float = _bound(6.0, 0.01, 86_400)
    waiting_passwords: int = _bound(256, 1, 10_000)
    waiting_passwords_per_place: int = _bound(64, 1, 10_000)
    passwords_at_a_time: int = _bound(1, 1, 8)
    oidc_logins: int = _bound(256, 1, 10_000)
    oidc_logins_per_place: int = _bound(64, 1, 10_000)
    oidc_exchanges: int = _bound(16, 1, 1000)
    # Held in sum.
    memory_share: int = _bound(4, 1, 1000)
    # Below it a few keyframes of large screens would meet the bound.
    memory_least_bytes: int = _bound(64 * _MIB, 16 * _MIB, 2**40)
    requests_per_credential: int = _bound(256, 1, _MIB)
    unread_answers: int = _bound(1000, 600, _MIB)
    sentinels: int = _bound(5000, 1, 10_000)
    awaited_sentinels: int = _bound(10_000, 1, _MIB)
    awaited_sentinels_per_proctor: int = _bound(1000, 1, _MIB)
    alarms: int = _bound(1000, 1, 100_000)
    logins_per_user: int = _bound(20, 1, 10_000)
    tickets_per_credential: int = _bound(200, 1, _MIB)
    tickets: int = _bound(10_000, 1, _MIB)


#: All as they are unless somebody turns one.
USUAL = Bounds()
