"""A load test on a server that runs: what it has to allow, and what is left there."""

from __future__ import annotations

import hashlib
import shlex
import socket
from collections.abc import Callable, Sequence

from vidlink.client import History
from vidlink.errors import UserMistake
from vidlink.httpjson.objects import OPEN
from vidlink.loadtest.plan import Place
from vidlink.loadtest.sockets import GROUP, SOFTWARE
from vidlink.model import Right, SentinelState


async def check_rights(
    history: History, ids: Sequence[str], proctors: int, has_room_token: bool
) -> None:
    """See that the server lets in what is to come.

    :raises UserMistake: if it does not; the text says what it takes.
    """
    me = await history.me()
    if proctors and Right.WATCH not in me.may:
        raise UserMistake(
            "that server lets no proctor in by what is shown; log in with 'vidlink login', or give "
            "--token-file one of 'vidlink token add rehearsal --role proctor --all-groups'"
        )
    if me.access != OPEN and not has_room_token:
        raise UserMistake(
            "that server lets no screen in without a token; give --enrol-token-file one of "
            f"'vidlink token add rehearsal --enrol --group {GROUP} --most {len(ids)} --days 1'"
        )
    if Right.WATCH not in me.may:
        return
    live = {
        one.sentinel_id
        for one in await history.sentinels()
        if one.state is not SentinelState.OFFLINE
    }
    for sentinel_id in ids:
        if sentinel_id in live:
            raise UserMistake(
                f"{sentinel_id} is live at that server; wait until whatever sends it has ended"
            )


async def enrol(
    history: History, ids: Sequence[str], show: Callable[[Callable[[], str]], None]
) -> dict[str, str]:
    """A token for each of `ids`, for that of the room which `history` shows.

    :raises VidlinkError: if one is not given, or for another id.
    """
    tokens: dict[str, str] = {}
    for sentinel_id in ids:
        # The same machine is given the same id again.
        what = f"{SOFTWARE.partition('/')[0]} {socket.gethostname()} {sentinel_id}"
        fingerprint = hashlib.sha256(what.encode()).hexdigest()
        given = await history.enrol(sentinel_id, fingerprint, SOFTWARE)
        if given.sentinel_id != sentinel_id:
            raise UserMistake(
                f"{sentinel_id} was enrolled by another machine; where the server is, 'vidlink "
                f"token forget {sentinel_id}' changes that, and so for each of the others"
            )
        tokens[sentinel_id] = given.token
        show(lambda: f"{len(tokens):,} of {len(ids):,} screens enrolled")
    return tokens


def left_there(ids: Sequence[str], place: Place, before: str, has_enrolled: bool) -> list[str]:
    """Lines that say what is left at a server, and how it goes; `before` is when all has ended."""
    first, last = ids[0], ids[-1]
    digits = len(first.rpartition("-")[2])
    numbers = f"for n in $(seq -f %0{digits}.0f {len(ids)}); do vidlink"
    lines = [
        f"what was recorded at {place.server} as {first} to {last} is deleted by",
        f"  {numbers} delete rehearsal-$n --before '{before}' --yes {_options(place)}; done",
    ]
    if has_enrolled:
        lines += [
            "and their tokens are forgotten, where that server is, by",
            f"  {numbers} token forget rehearsal-$n --data FOLDER; done",
        ]
    return lines


def _options(place: Place) -> str:
    """The options that lead there, as a shell takes them."""
    words = ["--server", place.server]
    for name, value in (("--ca", place.ca), ("--pin", place.pin)):
        words += [] if value is None else [name, value]
    return shlex.join([*words, *["--plain-token"] * place.can_go_plain])
