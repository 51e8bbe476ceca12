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
