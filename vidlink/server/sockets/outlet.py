"""The way of whole frames into the kernel, past the transport's own buffer.

Twisted joins what is written to one string and has the socket polled before it sends: a copy, and
two system calls more. Here frames go to the kernel as the references that they are, many with one
`sendmsg`. What the kernel does not take, and all that is not over plain sockets, as over TLS, is
the transport's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor

from vidlink.model import Frame


def has_outlet(transport: Any) -> bool:
    """True if `transport` is a plain socket, and one of Twisted's own making."""
    is_plain = isinstance(transport, FileDescriptor) and not getattr(transport, "TLS", False)
    return is_plain and hasattr(getattr(transport, "socket", None), "sendmsg")


def is_empty(transport: Any) -> bool:
    """True if nothing waits in `transport`, and it is connected."""
    # Twisted's own words for what was written to it and not sent.
    return not transport.dataBuffer and not transport._tempDataBuffer and bool(transport.connected)


def send(transport: Any, frames: Sequence[Frame]) -> int:
    """The octets of `frames` that the kernel has taken: 0 if something waits before them, or if
    there is no room, or no connection any more, which the transport finds out when it is read.

    :param transport: one that has an outlet.
    :param frames: at most 1,024, the most that the kernel takes at once (IOV_MAX).
    """
    if not is_empty(transport):
        return 0
    try:
        if len(frames) == 1:
            return int(transport.socket.send(frames[0]))
        return int(transport.socket.sendmsg(frames))
    except OSError:
        return 0
