"""Messages of a server that the program has not read yet: bounded, in order, with an end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred

from vidlink.messages import Message

#: When so many octets wait, the socket is no longer read; at half of it, it is again. What the
#: socket had read by then still comes in: 64 KiB, and the message it ends in.
MAX_BYTES = 4 * 1024 * 1024
#: The cost of a message beside its payload.
_EXTRA_BYTES = 256


class ProctorInbox:
    """Messages between one socket and one reader.

    :param pause: called when :attr:`max_bytes` wait.
    :param resume: called when half of them are gone.
    """

    def __init__(
        self, pause: Callable[[], None], resume: Callable[[], None], max_bytes: int = MAX_BYTES
    ) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.is_full = False
        self._pause = pause
        self._resume = resume
        self._messages: deque[tuple[Message, int]] = deque()
        self._end: BaseException | None = None
        self._reader: Deferred[None] | None = None

    def put(self, message: Message, size_bytes: int) -> None:
        """Keep a message that has come."""
        cost = size_bytes + _EXTRA_BYTES
        self._messages.append((message, cost))
        self.held_bytes += cost
        if self.held_bytes >= self.max_bytes and not self.is_full:
            self.is_full = True
            self._pause()
        self._wake()

    def end(self, why: BaseException) -> None:
        """Nothing more will come; readers are told when they have taken what is here."""
        if self._end is None:
            self._end = why
            self._wake()

    async def next_message(self) -> Message:
        """The next message, as soon as there is one; one reader at a time.

        :raises BaseException: that :meth:`end` was given, once everything is read.
        """
        while not self._messages:
            if self._end is not None:
                raise self._end
            if self._reader is not None:
                raise RuntimeError("somebody else is reading already")
            self._reader = Deferred(lambda _: self._forget())
            await self._reader
        message, cost = self._messages.popleft()
        self.held_bytes -= cost
        if self.is_full and self.held_bytes <= self.max_bytes // 2:
            self.is_full = False
            self._resume()
        return message

    def _forget(self) -> None:
        self._reader = None

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)
