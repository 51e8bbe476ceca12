"""Enrolment: a machine shows the token of a room, and is given one of its own.

What a machine says of itself, it says itself: it keeps honest machines apart, and none that lies
out. So that whoever has the token of a room can do no more than add machines, an id that somebody
has is given to nobody else, and what was revoked stays out as that machine.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from vidlink.errors import EnrolmentClosed, Forbidden
from vidlink.model import Enrolment, Role

SCHEMA = """
CREATE TABLE enrolments (
    sentinel_id TEXT PRIMARY KEY,
    asked_id TEXT NOT NULL,
    machine TEXT NOT NULL,
    address TEXT NOT NULL,
    software TEXT NOT NULL,
    enrolled_us INTEGER NOT NULL,
    room_token TEXT NOT NULL,
    own_token TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX enrolments_of_machine ON enrolments (machine);
"""
_COLUMNS = "sentinel_id, asked_id, machine, address, software, enrolled_us, room_token, own_token"
#: Machines that a token enrols, unless told otherwise.
USUAL_MOST = 100
#: Before it stands what was asked for, behind it some digits; no host's name has one.
_APART = "_"
_DIGITS = 4
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Application:
    """A machine that asks to be the Sentinel `asked_id`.

    `room_token` is the id of the token that it shows, `machine` its fingerprint; `own_token` and
    `digest` are of the token that it is given. `busy` are the Sentinels that were seen alive just
    now, so that somebody else is them.
    """

    room_token: str
    asked_id: str
    machine: str
    address: str
    software: str
    now_us: int
    own_token: str
    digest: bytes
    busy: frozenset[str] = field(default_factory=frozenset)


def enrol(connection: sqlite3.Connection, asked: Application) -> Enrolment:
    """Give a machine a token, in the transaction that `connection` is in.

    A machine that is known comes back as what it was, and its token before ends. One that asks for
    an id that another has is given an id of its own.

    :raises EnrolmentClosed: if the token of the room is not valid any more, or has enrolled as
        many machines as it may.
    :raises Forbidden: if the machine was revoked.
    """
    room = connection.execute(
        "SELECT sentinel_group, expires_us, most FROM tokens WHERE id = ?", (asked.room_token,)
    ).fetchone()
    if room is None or (room[1] is not None and asked.now_us >= room[1]):
        raise EnrolmentClosed("enrolment with this token has ended")
    group, _, most = room
    known = enrolments(connection, asked.machine)
    for one in known:
        if not one.is_valid:
            raise Forbidden(
                f"this machine was enrolled as {one.sentinel_id}, and that was revoked; "
                f"'vidlink token forget {one.sentinel_id}' lets it enrol again"
            )
    before = _before(known, asked)
    if before is None or before.room_token != asked.room_token:
        ((made,),) = connection.execute(
            "SELECT count(*) FROM enrolments WHERE room_token = ?", (asked.room_token,)
        )
        if most is not None and made >= most:
            raise EnrolmentClosed(f"this token has enrolled as many machines as it may ({most})")
    if before is None:
        sentinel_id = _free_id(connection, asked)
    else:
        sentinel_id = before.sentinel_id
        connection.execute("DELETE FROM tokens WHERE id = ?", (before.own_token,))
    connection.execute(
        "INSERT INTO tokens (id, digest, name, roles, sentinel_id, sentinel_group, created_us) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (asked.own_token, asked.digest, sentinel_id, Role.SENTINEL.value, sentinel_id, group,
         asked.now_us),
    )  # fmt: skip
    row = (
        sentinel_id, asked.asked_id, asked.machine, asked.address, asked.software, asked.now_us,
        asked.room_token, asked.own_token,
    )  # fmt: skip
    connection.execute(
        f"INSERT OR REPLACE INTO enrolments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row
    )
    return Enrolment(*row, True)


def enrolments(connection: sqlite3.Connection, machine: str | None = None) -> list[Enrolment]:
    """All of them by id, or those of a `machine`."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM tokens WHERE id = own_token) FROM enrolments "
        "WHERE ?1 IS NULL OR machine = ?1 ORDER BY sentinel_id",
        (machine,),
    )
    return [Enrolment(*(*row[:-1], bool(row[-1]))) for row in rows]


def forget(connection: sqlite3.Connection, sentinel_id: str) -> bool:
    """Revoke a machine's token, and let it enrol again; False if there is no such."""
    connection.execute(
        "DELETE FROM tokens WHERE id IN (SELECT own_token FROM enrolments WHERE sentinel_id = ?)",
        (sentinel_id,),
    )
    removed = connection.execute("DELETE FROM enrolments WHERE sentinel_id = ?", (sentinel_id,))
    return removed.rowcount > 0


def _before(known: list[Enrolment], asked: Application) -> Enrolment | None:
    """The enrolment of the machine when it asked for the same; None if there is none, or somebody
    else is that now: a copy of it that has everything that it has."""
    same = [one for one in known if one.asked_id == asked.asked_id]
    # What it asks for, rather than one that it was told apart by.
    same.sort(key=lambda one: (one.sentinel_id != asked.asked_id, one.enrolled_us))
    return next((one for one in same if one.sentinel_id not in asked.busy), None)


def _free_id(connection: sqlite3.Connection, asked: Application) -> str:
    """The id that is asked for, or if somebody has it, one that begins like it."""
    for sentinel_id in _ids(asked):
        ((is_taken,),) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM enrolments WHERE sentinel_id = ?1) "
            "OR EXISTS (SELECT 1 FROM tokens WHERE sentinel_id = ?1)",
            (sentinel_id,),
        )
        if not is_taken:
            return sentinel_id
    raise AssertionError("there is always one more")


def _ids(asked: Application) -> Iterator[str]:
    yield asked.asked_id
    begin = asked.asked_id[: _LONGEST_ID - len(_APART) - _DIGITS]
    for number in count():
        # The same machine finds the same, also after its server has forgotten everything.
        digest = hashlib.sha256(f"{asked.machine} {number}".encode()).hexdigest()
        yield f"{begin}{_APART}{digest[:_DIGITS]}"
