"""Films that are being sent while a credential is revoked, by the real server."""

from __future__ import annotations

import re
import socket
import time

from tests.rigs.daemons import Site
from tests.rigs.recordings import write_recording
from vidlink.access.credentials import Credentials
from vidlink.model import Role

#: Within so many seconds whoever is let in no more is out.
OUT_SECONDS = 5.0
#: More than sockets hold of it.
FILM_SEGMENTS, SEGMENT_BYTES = 200, 100_000


def _asked(site: Site, path: str, token: str) -> socket.socket:
    """A connection on which a film has been asked for, by a reader who takes it slowly."""
    reader = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    lines = f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Authorization: Bearer {token}"
    reader.sendall("\r\n".join((*lines, "", "")).encode())
    return reader


def _came(reader: socket.socket, head: bytes, size: int) -> int:
    """The octets that come of a film of that size, whose first are behind the `head`."""
    octets = len(head.partition(b"\r\n\r\n")[2])
    try:
        while octets < size and (data := reader.recv(65_536)):
            octets += len(data)
    except ConnectionResetError:
        pass
    return octets


def test_film(site: Site) -> None:
    """Of two who fetch a film, the one whose token is revoked gets no more of it, and can tell that
    it is not whole; the other one gets all of it."""
    session = write_recording(site.data, range(FILM_SEGMENTS), filler_bytes=SEGMENT_BYTES)
    lost, kept = (site.token_for(name, Role.PROCTOR) for name in ("lost", "kept"))
    site.token = kept
    site.start_server()
    path = f"/api/v1/sentinels/desk-1/sessions/{session}/segments/0-{FILM_SEGMENTS - 1}"
    readers = [_asked(site, path, token) for token in (lost, kept)]
    heads = [reader.recv(8_192) for reader in readers]
    sizes = [int(re.findall(rb"Content-Length: (\d+)", head)[0]) for head in heads]
    assert sizes[0] == sizes[1] > FILM_SEGMENTS * SEGMENT_BYTES
    book = Credentials(str(site.data))
    (token_id,) = (one.token_id for one in book.read().tokens if one.name == "lost")
    assert book.remove_token(token_id)
    book.close()
    time.sleep(OUT_SECONDS)
    came = [_came(*one) for one in zip(readers, heads, sizes, strict=True)]
    assert came[0] < came[1] == sizes[1]
    for reader in readers:
        reader.close()
