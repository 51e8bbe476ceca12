"""The role of a wire format, which turns messages into bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from vidlink.messages import Message
    from vidlink.model import Octets


class ICodec(Interface):
    """One serialization of the wire protocol: messages to payloads and back.

    Providers are found as Twisted plugins, so another format is a drop-in file. They hold no
    state and may be shared by all connections.
    """

    name = Attribute("""`str`: the WebSocket subprotocol, such as ``vidlink.v1.binary``.""")
    rank = Attribute(
        """`int`: the server's preference among the formats a peer offers; the lowest wins."""
    )
    is_canonical = Attribute(
        """`bool`: whether a binary payload that :meth:`decode` accepts is byte for byte what
        :meth:`encode` gives for the result, so that it may be forwarded as it came."""
    )
    max_control_bytes = Attribute(
        """`int | None`: the longest message without media that :meth:`decode` takes, an argument
        of the class by this name; None: the format has a bound of its own."""
    )

    def encode(message: Message) -> tuple[bytes, bool]:
        """The payload, and whether it goes into a binary (True) or a text (False) frame.

        Sentences for people (`message`, `reason`, `cause`, `about`) are made to fit.

        :raises ~vidlink.errors.Unsendable: if any other value is not in its range.
        """

    def decode(payload: Octets, is_binary: bool) -> Message:
        """The message in `payload`, found in a time linear in it; media may be views into it.

        :raises ~vidlink.errors.BadMessage: for anything that is not exactly one valid message;
            no other exception, whatever the bytes.
        """
