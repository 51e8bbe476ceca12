"""The sending of a stretch of a file by the kernel, no faster than a client takes it.

It owns the place in the file. The transport is used as its producer would: it says when there is
room, what it holds itself having gone before. Over TLS, and on whatever else has no socket of its
own, nothing is sent so.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from vidlink.interfaces import IStretch
from vidlink.server.port.lobby import beneath

#: macOS has another call of that name.
sendfile = os.sendfile if hasattr(os, "splice") else None


def can_send_files(transport: Any) -> bool:
    """True if the kernel can put a file into `transport`."""
    is_plain = beneath(transport) is transport and not getattr(transport, "TLS", False)
    return sendfile is not None and is_plain and hasattr(transport, "socket")


class Sending:
    """One stretch on its way; `done` fires with the number of octets when no more of it can be
    sent, because that was all, or because the file or the socket has failed."""

    def __init__(self, transport: Any, stretch: IStretch) -> None:
        self.done: Deferred[int] = Deferred()
        self.sent_bytes, self.size_bytes = 0, stretch.size
        self._transport = transport
        self._stretch = stretch

    def wait(self) -> None:
        """Be told when the client has taken what was written before."""
        # As the transport does itself when it holds too much.
        self._transport.producerPaused = True
        self._transport.startWriting()

    def go_on(self) -> bool:
        """Send as much as there is room for; False: there is more, and it waits for room."""
        assert sendfile is not None, "nothing is sent so where it cannot be"
        stretch, sent = self._stretch, self.sent_bytes
        socket, descriptor = self._transport.socket.fileno(), stretch.descriptor
        try:
            count = sendfile(socket, descriptor, stretch.offset + sent, stretch.size - sent)
        except BlockingIOError:
            count = None
        except OSError:
            # Whoever writes or reads next meets the same, and says it.
            count = 0
        if count != 0:
            self.sent_bytes += count or 0
            if self.sent_bytes < stretch.size:
                self.wait()
                return False
        return True
