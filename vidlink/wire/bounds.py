"""The bounds of a message, whatever its format, that a reader holds hostile peers to."""

from __future__ import annotations

#: A message without media.
MAX_CONTROL_BYTES = 64 * 1024
#: The largest message of all: one with media, or a list from a server that is trusted.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
#: Maps and lists inside of each other.
MAX_DEPTH = 16
#: Maps, lists and their elements in a message that is larger than control may be.
MAX_MEDIA_PARTS = 256


class BoundedCodec:
    """The bound of a message without media, which all formats here have.

    :param max_control_bytes: the longest such message taken; more than the default is for
        viewers, because the list of a large server is longer.
    """

    def __init__(self, max_control_bytes: int = MAX_CONTROL_BYTES) -> None:
        self.max_control_bytes = max_control_bytes
