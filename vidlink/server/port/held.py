"""The octets held for peers that do not go on, of all connections together, within one bound.

One message may be of 16 MiB, and nothing obliges a peer to ever send its end; nor to ever take an
answer. What is held of a message counts from the read in which it begins until it is whole; of an
answer, from when the client stops taking it until it has taken all; or until the connection is
over.

Bound: `most_bytes`. Above it a connection is closed that holds more than its share, which is the
bound by the number of those that hold anything: of them the one that began first, as honest ones
do not stay. Somebody always holds more than that, and nobody pays for the small ones.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

#: Without another bound: as much as 32 messages of the largest kind.
MOST_BYTES = 512 * 1024 * 1024


class Receiver(Protocol):
    """A connection for which something is held."""

    @property
    def peer(self) -> str:
        """Who it is, for the log."""

    def overrun(self, held_bytes: int) -> None:
        """Close it and let go of what is held."""


class Held:
    """The octets that are held for each connection.

    :param what: what they are, for the log.
    """

    _log = Logger()

    def __init__(
        self, most_bytes: int = MOST_BYTES, what: str = "of a message that is not whole"
    ) -> None:
        self.most_bytes = most_bytes
        self._what = what
        #: The octets of all of them.
        self.held_bytes = 0
        self._held: dict[Receiver, int] = {}

    def grow(self, receiver: Receiver, size_bytes: int) -> None:
        """So much more is held for `receiver`."""
        self._held[receiver] = self._held.get(receiver, 0) + size_bytes
        self.held_bytes += size_bytes
        while self.held_bytes > self.most_bytes:
            self._make_room()

    def end(self, receiver: Receiver) -> None:
        """Nothing is held for it any more; does nothing if nothing was."""
        self.held_bytes -= self._held.pop(receiver, 0)

    def _make_room(self) -> None:
        share = self.most_bytes // len(self._held)
        receiver, held = next(one for one in self._held.items() if one[1] > share)
        self._log.warn(
            "{peer}: {held} octets {what}, and {total} of all peers: it is closed",
            peer=receiver.peer,
            held=held,
            what=self._what,
            total=self.held_bytes,
        )
        self.end(receiver)
        receiver.overrun(held)
