"""The messages that have begun to arrive, of all connections together, within one bound.

One message may be of 16 MiB, and nothing obliges a peer to ever send its end. What is held of a
message counts from the read in which it begins until it is whole or its connection is over.

Bound: `most_bytes`. Above it a connection is closed that holds more than its share, which is the
bound by the number of those that hold anything: of them the one whose message began first, as
honest ones do not stay. Somebody always holds more than that, and nobody pays for the small ones.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

#: Without another bound: as much as 32 messages of the largest kind.
MOST_BYTES = 512 * 1024 * 1024
#: No bound is below this, or a few keyframes of large screens would meet it.
LEAST_BYTES = 64 * 1024 * 1024


class Receiver(Protocol):
    """A connection on which a message arrives."""

    peer: str

    def overrun(self, held_bytes: int) -> None:
        """Close it and let go of what is held."""


class Halves:
    """The octets that each connection holds of a message that is not whole."""

    _log = Logger()

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        #: The octets of all of them.
        self.held_bytes = 0
        self._held: dict[Receiver, int] = {}

    def grow(self, receiver: Receiver, size_bytes: int) -> None:
        """So much more has come of the message on `receiver`."""
        self._held[receiver] = self._held.get(receiver, 0) + size_bytes
        self.held_bytes += size_bytes
        while self.held_bytes > self.most_bytes:
            self._make_room()

    def end(self, receiver: Receiver) -> None:
        """The message is whole, or will never be; does nothing if none had begun."""
        self.held_bytes -= self._held.pop(receiver, 0)

    def _make_room(self) -> None:
        share = self.most_bytes // len(self._held)
        receiver, held = next(one for one in self._held.items() if one[1] > share)
        self._log.warn(
            "{peer}: {held} octets of a message that is not whole, and {total} of all peers:"
            " it is closed",
            peer=receiver.peer,
            held=held,
            total=self.held_bytes,
        )
        self.end(receiver)
        receiver.overrun(held)
