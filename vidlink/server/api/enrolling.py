"""Machines that enrol: who is alive as what they ask for, and who has to hear of two that ask for
the same.

What they are given is decided in :mod:`vidlink.access.enrolments`, with the database before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from vidlink.access.enrolments import Application
from vidlink.access.hashing import digest_of, new_token
from vidlink.access.register import Register
from vidlink.errors import Forbidden, IdInUse
from vidlink.model import Enrolment, Principal, Right
from vidlink.relay.hub import PROBE_SECONDS, Hub


class Enrolling:
    """Enrolment at a running server.

    :param hub: knows who is connected.
    :param now_us: microseconds since the epoch.
    """

    def __init__(self, register: Register, hub: Hub, now_us: Callable[[], int]) -> None:
        self._register = register
        self._hub = hub
        self._now_us = now_us

    async def enrol(
        self, principal: Principal, asked_id: str, machine: str, *, address: str, software: str
    ) -> tuple[Enrolment, str]:
        """Make a machine that shows the token of a room a Sentinel; what it is, and its token.

        :raises Forbidden: if what it shows is no such token, or the machine was revoked.
        :raises EnrolmentClosed: if no more machines are let in with it.
        """
        if Right.ENROL not in principal.rights:
            raise Forbidden("the credential does not give the right to enrol")
        busy = await self._alive(asked_id, machine)
        token = new_token()
        asked = Application(
            room_token=principal.credential_id.partition(":")[2],
            asked_id=asked_id,
            machine=machine,
            address=address,
            software=software,
            now_us=self._now_us(),
            own_token=secrets.token_hex(4),
            digest=digest_of(token),
            busy=busy,
        )
        known = {one.sentinel_id: one for one in self._register.enrolments}
        made = await self._register.change(lambda book: book.enrol(asked))
        if made.sentinel_id not in known and made.sentinel_id != asked_id:
            self._tell_of_two(known.get(asked_id), made)
        return made, token

    async def _alive(self, asked_id: str, machine: str) -> frozenset[str]:
        """The Sentinels that this machine was, and that somebody is now.

        A copy of a machine in everything must not take the token from under the other, which would
        take it back; a machine that comes back finds its old connection dead.
        """
        asked: dict[str, Deferred[bool]] = {}
        for one in self._register.enrolments:
            stream = self._hub.stream(one.sentinel_id)
            if (one.machine, one.asked_id) == (machine, asked_id) and stream is not None:
                publisher: Any = stream.publisher
                if publisher is not None:
                    asked[one.sentinel_id] = publisher.probe(PROBE_SECONDS)
        answers = await gatherResults(asked.values())
        return frozenset(one for one, is_alive in zip(asked, answers, strict=True) if is_alive)

    def _tell_of_two(self, first: Enrolment | None, second: Enrolment) -> None:
        stream = self._hub.stream(second.asked_id)
        if stream is not None and stream.publisher is not None:
            has_it = f"{stream.publisher.address} has it"
        elif first is not None:
            has_it = f"one that has enrolled from {first.address} has it"
        else:
            has_it = "another has a token for it"
        alarm = IdInUse(
            f"two machines ask for the id {second.asked_id}: {has_it}, {second.address} is now "
            f"{second.sentinel_id}"
        )
        self._hub.alarm(second.asked_id, alarm)
