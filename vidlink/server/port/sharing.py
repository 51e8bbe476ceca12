"""The headers by which browsers let pages of other origins have our answers (CORS).

Fetch Standard, section 3.2. Which origins those are is :mod:`vidlink.server.port.origin`'s to say;
all others have been refused before, so this adds nothing for them.

No answer allows credentials: a page of another origin is served as what it shows itself, a token or
a ticket, and never as the person before it, whose cookie is passed over if it comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.web.http_headers import Headers

#: The headers of answers that a page may read, beside those that any may (Fetch section 2.2.2).
EXPOSED = ", ".join(
    (
        "Accept-Ranges",
        "Allow",
        "Content-Disposition",
        "Content-Range",
        "Date",
        "ETag",
        "Location",
        "VidLink-Missing",
        "VidLink-Start",
    )
)
#: The headers that a page may send, beside those that any may.
TAKEN = ", ".join(
    (
        "Authorization",
        "Content-Type",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Range",
    )
)
#: A browser asks once in so long whether it may ask; none keeps the answer for longer than a day,
#: and Chromium not for longer than this.
PREFLIGHT_SECONDS = 7200


def sharing_headers(origin: bytes, answer: Headers) -> Iterator[tuple[bytes, bytes]]:
    """The headers of `answer` for a page of `origin`, which is allowed.

    An answer with ``Allow`` is one to ``OPTIONS``, and so to a browser that asks beforehand, or to
    a method that there is not.
    """
    yield b"Access-Control-Allow-Origin", origin
    yield b"Access-Control-Expose-Headers", EXPOSED.encode()
    yield b"Cross-Origin-Resource-Policy", b"cross-origin"
    methods = answer.getRawHeaders(b"Allow")
    if methods:
        yield b"Access-Control-Allow-Methods", methods[0]
        yield b"Access-Control-Allow-Headers", TAKEN.encode()
        yield b"Access-Control-Max-Age", b"%d" % PREFLIGHT_SECONDS
