"""The table: one row for each thing that a stranger, or an insider, may try.

Which fault a row is of, what is tried, what it gets; `fault` numbers the kinds: 21 slow ones,
22 floods over HTTP, 23 doubles, 24 sequences, 25 media, 26 sizes, 27 floods of frames, 28 text,
29 frames, 30 formats, 31 credentials, 32 other origins, 33 paths, 34 names, 35 guessing. It is one
idea: a table, and the octets of each of its rows.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from tests.fakes import media
from tests.hostile.target import (
    BINARY_FORMAT,
    CBOR,
    JSON,
    PROTOBUF,
    Open,
    Target,
    code_of,
    session_id,
    status_of,
)
from tests.rigs.frames import BINARY, CLOSE, PING, PONG, TEXT, client_frame, handshake
from vidlink.model import USUAL

SENTINEL, PROCTOR = "/ws/sentinel", "/ws/proctor"
FIN = 0x80


@dataclass(frozen=True, slots=True)
class Row:
    """One attack.

    :param act: attacks, and gives the status or the close code that it met; a flood gives that of
        its last.
    :param usual_seconds: it takes about so long, ...
    :param usual_mib: ... and so much memory, ...
    :param usual_processor_seconds: ... and processor.
    """

    fault: int
    name: str
    act: Callable[[Target], int]
    expected: int
    usual_seconds: float = 0.3
    usual_mib: float = 1.0
    usual_processor_seconds: float = 0.05


def told(fields: dict[str, object]) -> bytes:
    """A message of JSON in a frame."""
    return client_frame(TEXT, json.dumps(fields).encode())


def announced(opcode: int, size: int) -> bytes:
    """The head of a frame that claims to be so long."""
    return bytes((FIN | opcode, 0xFF)) + size.to_bytes(8) + bytes(4)


def register(session: str, **other: object) -> bytes:
    """A sentinel's registration."""
    fields: dict[str, object] = {
        "type": "sentinel.register",
        "sentinelId": "bad",
        "instanceId": "one",
        "software": "bad/1",
        "sessionId": session,
    }
    return told({**fields, **other})


def init(session: str, data: bytes) -> bytes:
    """An `init`."""
    fields = {"type": "init", "sentinelId": "bad", "sessionId": session}
    return told({**fields, "data": base64.b64encode(data).decode()})


def segment(session: str, data: bytes | None = None, **other: object) -> bytes:
    """A segment."""
    fields: dict[str, object] = {
        "type": "segment",
        "sentinelId": "bad",
        "sessionId": session,
        "sequence": 0,
        "startTime": media.start_time_us(0),
        "duration": media.FRAME_MS,
        "framerate": 5,
        "keyframe": True,
        "data": base64.b64encode(media.segment(0) if data is None else data).decode(),
    }
    return told({**fields, **other})


def closes(
    path: str, *octets: bytes, offer: str = JSON, is_secure: bool = False
) -> Callable[[Target], int]:
    """Who sends that on a WebSocket is closed."""
    return lambda target: target.close_code(path, *octets, offer=offer, is_secure=is_secure)


def streams(make: Callable[[str], tuple[bytes, ...]]) -> Callable[[Target], int]:
    """Who registers, and then sends that, is closed."""

    def act(target: Target) -> int:
        session = session_id()
        return target.close_code(SENTINEL, register(session), *make(session))

    return act


def asks(request: bytes, **how: object) -> Callable[[Target], int]:
    """Who sends that gets an answer; PORT in it is the server's."""
    return lambda target: target.ask(request.replace(b"PORT", b"%d" % target.port), **how)


def gets(path: str, *lines: str, method: str = "GET") -> Callable[[Target], int]:
    """A proctor that asks for `path` is answered."""
    return lambda target: target.get(path, *lines, token=target.proctor, method=method)


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    """A box of ISO 14496-12, which may lie about its size."""
    return (8 + len(body) if size is None else size).to_bytes(4) + kind + body


def nested(depth: int) -> bytes:
    """Boxes inside of each other."""
    return b"".join(box(b"moof", size=8 * (depth - n)) for n in range(depth))


HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n"
RIGHT_INIT, RIGHT = media.init_segment(), media.segment(0)


def _http() -> Iterator[Row]:
    floods: tuple[tuple[str, bytes, int], ...] = (
        ("a line without an end", b"GET /" + b"x" * 1_000_000, 414),
        ("a target of 8 KiB", b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n\r\n", 414),
        ("a header of 64 KiB", HEAD + b"X: " + b"x" * 65_536 + b"\r\n\r\n", 431),
        ("a header without an end", HEAD + b"X: " + b"x" * 1_000_000, 431),
        ("2,000 headers", HEAD + b"X-Some: thing\r\n" * 2_000 + b"\r\n", 400),
        ("600 short headers", HEAD + b"X:y\r\n" * 600 + b"\r\n", 400),
        ("a length of 5,000 digits", HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        ("a length below zero", HEAD + b"Content-Length: -1\r\n\r\n", 400),
        ("two lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        ("two hosts", HEAD + b"Host: 127.0.0.1\r\n\r\n", 400),
    )
    for name, request, status in floods:
        yield Row(22, name, asks(request), status)
    long = HEAD.replace(b"GET /", b"POST /api/v1/login") + b"Content-Type: application/json\r\n"
    yield Row(22, "a body of 4 GiB", asks(long + b"Content-Length: 4294967296\r\n\r\n"), 413)
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    chunked = long + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 8
    yield Row(22, "a body in chunks without an end", asks(chunked), 413)
    yield Row(22, "1,000 requests at once", _pipelined, 200, 2.0, 2.0, 1.0)
    deep = b'{"user":' + b"[" * 60_000
    body = long + b"Content-Length: %d\r\n\r\n" % len(deep) + deep
    yield Row(22, "a body of 60,000 lists in each other", asks(body), 400)


def _pipelined(target: Target) -> int:
    with target.connect() as link:
        request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode()
        sender = threading.Thread(target=lambda: link.sendall(request * 1_000))
        sender.start()
        said = b""
        while said.count(b"HTTP/1.1 200 ") < 1_000:
            data = link.recv(65_536)
            assert data
            said += data
        sender.join()
        return 200


def _doubles() -> Iterator[Row]:
    other = register(session_id(), sentinelId="watched-0")
    yield Row(23, "another one's id", closes(SENTINEL, other), 4403)
    yield Row(23, "the id of one that is live", _double, 4410, 1.0)


def _double(target: Target) -> int:
    """The first one goes on, the second one is closed."""
    with target.open(SENTINEL, target.sentinel).link as first:
        first.sendall(register(session_id()))
        stop = threading.Event()

        def answer_pings() -> None:
            # Its mask is zero, so whatever is asked may be said again.
            with suppress(OSError):
                while not stop.is_set():
                    data = first.recv(65_536)
                    if not data:
                        return
                    for place in range(len(data) - 1):
                        if data[place] == FIN | PING and data[place + 1] == 4:
                            first.sendall(client_frame(PONG, data[place + 2 : place + 6]))

        time.sleep(0.2)
        first.settimeout(0.2)
        reader = threading.Thread(target=answer_pings)
        first.settimeout(10)
        reader.start()
        code = target.close_code(SENTINEL, register(session_id(), instanceId="two"))
        stop.set()
        is_there = reader.is_alive()
        first.shutdown(socket.SHUT_RDWR)
        reader.join()
        assert is_there, "the first one was evicted"
        return code


def _sequences() -> Iterator[Row]:
    for name, value in (
        ("below zero", -1),
        ("of more than 53 bits", 2**53 + 1),
        ("that is a text", "1"),
        ("that is a fraction", 1.5),
        ("that is nothing", None),
    ):

        def make(session: str, value: object = value) -> tuple[bytes, ...]:
            return init(session, RIGHT_INIT), segment(session, sequence=value)

        yield Row(24, f"a sequence {name}", streams(make), 4400)
    yield Row(
        24,
        "a segment of another's session",
        streams(lambda s: (init(s, RIGHT_INIT), segment(s, sentinelId="watched-0"))),
        4400,
    )
    yield Row(24, "a segment before its init", streams(lambda s: (segment(s),)), 4400)


def _media() -> Iterator[Row]:
    inits = {
        "zeros": bytes(1_000),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(1_000),
        "half an init": RIGHT_INIT[: len(RIGHT_INIT) // 2],
        "a box of size 0": box(b"ftyp", bytes(16), 0),
        "a box of size 1": box(b"ftyp", bytes(16), 1),
        "a box of 4 GiB": box(b"ftyp", bytes(16), 2**32 - 1),
        "5,000 boxes": box(b"free") * 5_000,
        "boxes 8,000 deep": nested(8_000),
    }
    for name, data in inits.items():

        def begin(session: str, data: bytes = data) -> tuple[bytes, ...]:
            return (init(session, data),)

        yield Row(25, f"an init that is {name}", streams(begin), 4422)
    segments = {
        "an init": RIGHT_INIT,
        "half a segment": RIGHT[: len(RIGHT) // 2],
        "a moof of 4 GiB": box(b"moof", RIGHT[8:], 2**32 - 1),
        "boxes 10,000 deep": nested(10_000),
    }
    for name, data in segments.items():

        def go_on(session: str, data: bytes = data) -> tuple[bytes, ...]:
            return init(session, RIGHT_INIT), segment(session, data)

        yield Row(25, f"a segment that is {name}", streams(go_on), 4422)


def _sizes() -> Iterator[Row]:
    for path in (SENTINEL, PROCTOR):
        for opcode, kind in ((TEXT, "text"), (BINARY, "octets")):
            act = closes(path, announced(opcode, 2**62))
            yield Row(26, f"{kind} of 2^62 on {path}", act, 1009)
        half = announced(BINARY, 15 * 1024 * 1024) + bytes(14 * 1024 * 1024)
        yield Row(26, f"14 MiB of a message on {path}", closes(path, half), 1009, 1.0, 2.0)
    yield Row(26, "a frame of 2^63", closes(PROCTOR, announced(BINARY, 2**63)), 1002)


def _floods() -> Iterator[Row]:
    first = bytes((TEXT, 0x80)) + bytes(4)
    rest = bytes((0, 0x80)) + bytes(4)
    pieces = bytes((0, 0x81)) + bytes(4) + b" "
    yield Row(27, "empty fragments", closes(PROCTOR, first + rest * 20_000), 1008)
    act = closes(PROCTOR, first + pieces * (USUAL.frames_per_message + 1))
    yield Row(27, "fragments of an octet", act, 1008)
    for opcode, kind in ((PING, "pings"), (PONG, "pongs")):
        for path in (SENTINEL, PROCTOR):
            act = closes(path, client_frame(opcode) * 20_000)
            yield Row(27, f"{kind} on {path}", act, 1008, 1.0)
    act = closes(PROCTOR, client_frame(PING) * 20_000, is_secure=True)
    yield Row(27, "pings over TLS", act, 1008, 1.0)
    act = closes(PROCTOR, *[client_frame(PING, b"x" * 100)] * (USUAL.control_frames + 100))
    yield Row(27, "pings one by one", act, 1008, 1.0)
    yield Row(27, "tiny messages", _tiny_messages, 4429, 6.0, 2.0, 2.5)


def _tiny_messages(target: Target) -> int:
    with target.open(PROCTOR, target.proctor).link as link:
        link.sendall(told({"type": "proctor.register", "software": "bad/1"}))
        burst = told({"type": "unsubscribe", "sentinelId": "x"}) * 1_000
        with suppress(OSError):
            for _ in range(3 * USUAL.messages // 2_000):
                link.sendall(burst)
        return code_of(link)


def _texts() -> Iterator[Row]:
    begun = told({"type": "proctor.register", "software": "bad/1"})
    for name, octets in (
        ("an octet that is none", b"\xff"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("what is too long", b"\xc0\x80"),
    ):
        act = closes(PROCTOR, client_frame(TEXT, b'{"type":"' + octets))
        yield Row(28, f"no UTF-8: {name}", act, 1007)
    for name, text in (
        ("nothing", b""),
        ("half a message", b'{"type":'),
        ("lists in each other", b"[" * 60_000),
        ("maps in each other", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        ("a name twice", b'{"type":"unsubscribe","type":"unsubscribe","sentinelId":"x"}'),
        ("no number", b'{"type":"subscribe","sentinelId":NaN}'),
        (
            "a number of 60,000 digits",
            b'{"type":"unsubscribe","sentinelId":' + b"9" * 60_000 + b"}",
        ),
        ("a type that is none", b'{"type":"__class__"}'),
    ):
        yield Row(28, f"no JSON: {name}", closes(PROCTOR, begun, client_frame(TEXT, text)), 4400)
    for name, data in (
        ("an array of 2^32", b"\x9a\xff\xff\xff\xff"),
        ("a text of 2^62", b"\x7b\x3f" + b"\xff" * 7),
        ("arrays in each other", b"\x81" * 60_000),
        ("tags in each other", b"\xc1" * 60_000),
        ("an array without an end", b"\x9f" * 1_000),
    ):
        act = closes(PROCTOR, client_frame(BINARY, data), offer=CBOR)
        yield Row(28, f"no CBOR: {name}", act, 4400)
    for name, data in (
        ("a length beyond the end", b"\x0a\xff\xff\xff\xff\x07"),
        ("groups in each other", b"\x0b" * 60_000),
        ("a number without an end", b"\x08" + b"\xff" * 1_000),
    ):
        act = closes(PROCTOR, client_frame(BINARY, data), offer=PROTOBUF)
        yield Row(28, f"no protobuf: {name}", act, 4400)
    act = closes(
        SENTINEL, client_frame(BINARY, b"\x02\x01\xff\xff" + bytes(60)), offer=BINARY_FORMAT
    )
    yield Row(28, "no header of a segment", act, 4400)


def _frames() -> Iterator[Row]:
    for name, octets in (
        ("no mask", bytes((FIN | TEXT, 2)) + b"{}"),
        ("a reserved bit", bytes((FIN | 0x40 | TEXT, 0x80)) + bytes(4)),
        ("a reserved opcode", client_frame(3)),
        ("a ping in pieces", bytes((PING, 0x80)) + bytes(4)),
        ("a long ping", client_frame(PING, bytes(126))),
        ("a piece of nothing", client_frame(0)),
        ("a close code of nobody", client_frame(CLOSE, (999).to_bytes(2))),
        ("half a close code", client_frame(CLOSE, b"\x03")),
        ("zeros", bytes(64)),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
    ):
        yield Row(29, name, closes(PROCTOR, octets), 1002)


def _formats() -> Iterator[Row]:
    for offer in ("", "mqtt", "vidlink", "vidlink.v2.json", "VIDLINK.V1.JSON", "vidlink.v1.jsonx"):

        def act(target: Target, offer: str = offer) -> int:
            return target.shake(PROCTOR, token=target.proctor, offer=offer)

        yield Row(30, f"the format {offer!r}", act, 400)

    def version(target: Target) -> int:
        return target.shake(PROCTOR, "Sec-WebSocket-Version: 8", token=target.proctor)

    yield Row(30, "two versions", version, 400)

    def with_body(target: Target) -> int:
        data = handshake(PROCTOR, JSON, f"127.0.0.1:{target.port}", target.proctor)
        return target.ask(data[:-2] + b"Content-Length: 4\r\n\r\nbody")

    yield Row(30, "a handshake with a body", with_body, 400)


def _credentials() -> Iterator[Row]:
    for path in (SENTINEL, PROCTOR):

        def nothing(target: Target, path: str = path) -> int:
            return target.shake(path)

        def wrong(target: Target, path: str = path) -> int:
            return target.shake(path, token="x" * 43)

        yield Row(31, f"no token on {path}", nothing, 401)
        yield Row(31, f"a wrong token on {path}", wrong, 401)
    for name, path, of, status in (
        ("an expired token", PROCTOR, "expired", 401),
        ("a sentinel that watches", PROCTOR, "sentinel", 403),
        ("an auditor that watches", PROCTOR, "auditor", 403),
        ("a proctor that publishes", SENTINEL, "proctor", 403),
    ):

        def act(target: Target, path: str = path, of: str = of) -> int:
            return target.shake(path, token=getattr(target, of))

        yield Row(31, name, act, status)
    listing = "/api/v1/sentinels"
    for name, lines, status in (
        ("nobody that lists", (), 401),
        ("a password in the header", ("Authorization: Basic YWRtaW46YWRtaW4=",), 401),
        ("a cookie that is none", ("Cookie: vidlink=" + "x" * 43,), 401),
        ("a ticket that is none", ("Cookie: ticket=x",), 401),
    ):

        def ask(target: Target, lines: tuple[str, ...] = lines) -> int:
            return target.get(listing, *lines)

        yield Row(31, name, ask, status)
    yield Row(31, "a sentinel that lists", lambda t: t.get(listing, token=t.sentinel), 403)
    deleted = "/api/v1/sentinels/watched-0/sessions/the-session-of-watched-0"
    yield Row(31, "a proctor that deletes", gets(deleted, method="DELETE"), 403)


def _origins() -> Iterator[Row]:
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "http://evil127.0.0.1",
        "file://",
    ):

        def shake(target: Target, origin: str = origin) -> int:
            return target.shake(PROCTOR, f"Origin: {origin}", token=target.proctor)

        yield Row(32, f"a socket for {origin}", shake, 403)
        yield Row(32, f"a list for {origin}", gets("/api/v1/sentinels", f"Origin: {origin}"), 403)
    rebound = b"GET /api/v1/sentinels HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n"
    yield Row(32, "a name that leads here", asks(rebound), 421)


def _paths() -> Iterator[Row]:
    for name, path, status in (
        ("dots", "/api/v1/sentinels/../../../../etc/passwd", 404),
        ("dots as percents", "/api/v1/sentinels/%2e%2e%2f%2e%2e%2fetc%2fpasswd/sessions", 404),
        ("a zero", "/api/v1/sentinels/a%00b/sessions", 404),
        ("a whole path", "/api/v1/sentinels/%2fetc%2fpasswd/sessions", 404),
        ("a file of the page", "/..%2f..%2fetc%2fpasswd", 404),
        ("no UTF-8", "/%ff", 404),
        ("10 KB", "/api/v1/sentinels/" + "x" * 10_000, 414),
        ("a session with dots", "/api/v1/sentinels/watched-0/sessions/..%2f..%2fx", 404),
    ):
        yield Row(33, f"a path with {name}", gets(path), status)
    for name, sentinel_id in (("dots", "../x"), ("a zero", "a\0b"), ("10 KB", "x" * 10_000)):
        said = register(session_id(), sentinelId=sentinel_id)
        yield Row(33, f"an id with {name}", closes(SENTINEL, said), 4400)
    session = register("../../../../tmp/x" + "x" * 16)
    yield Row(33, "a session with dots", closes(SENTINEL, session), 4400)


def _names() -> Iterator[Row]:
    for name, text in (
        ("lines", "a\r\nb"),
        ("colours", "\x1b[31mred\x1b[0m"),
        ("a turn to the left", "\u202egnp.exe"),
        ("10 KB", "x" * 10_000),
    ):
        said = register(session_id(), name=text)
        yield Row(34, f"a name with {name}", closes(SENTINEL, said), 4400)
    yield Row(34, "a name with script", _named, 200)

    def asked(target: Target) -> int:
        with target.connect() as link:
            link.sendall(b"GET /\x1b[31m<script> HTTP/1.1\r\nHost: 127.0.0.1\x1b\r\n\r\n")
            status = status_of(link)
        assert "\x1b" not in target.server.log()
        return status

    yield Row(34, "colours in a request", asked, 400)


def _named(target: Target) -> int:
    """It is listed as it is, in JSON."""
    text = "<img src=x onerror=alert(1)>"
    opened: Open = target.open(SENTINEL, target.sentinel)
    with opened.link as link:
        link.sendall(register(session_id(), name=text))
        assert b"registered" in opened.next()[1]
        assert text in _names_listed(target)
    return 200


def _names_listed(target: Target) -> list[str]:
    """The names in the list of sentinels."""
    with target.connect() as link:
        head = f"GET /api/v1/sentinels HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
        shown = f"Authorization: Bearer {target.proctor}\r\nConnection: close\r\n\r\n"
        link.sendall((head + shown).encode())
        said = b""
        while data := link.recv(65_536):
            said += data
    top, _, body = said.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in top
    return [row["name"] for row in json.loads(body)["sentinels"]]


def _guesses() -> Iterator[Row]:
    # Last, as this address may show nothing wrong for a while after it.
    yield Row(35, "tokens over HTTP", guess_tokens, 429, 2.0, 2.0, 1.5)
    yield Row(35, "tokens of sockets after that", _guess_sockets, 429, 3.0, 1.0, 1.5)
    yield Row(35, "the right one after that", gets("/api/v1/sentinels"), 200)
    yield Row(35, "a right one on a socket", lambda t: t.shake(PROCTOR, token=t.proctor), 101)


def _guess_sockets(target: Target) -> int:
    # Some are forgiven while other rows are tried, and meanwhile.
    guess_tokens(target, fewest=0)
    return max(target.shake(PROCTOR, token=f"{number:043}") for number in range(20))


def guess_tokens(target: Target, fewest: int = USUAL.wrong_tokens_per_place) -> int:
    """Show wrong tokens on one connection until they are too many, and so many at least; the
    status then."""
    with target.connect() as link:
        host = f"Host: 127.0.0.1:{target.port}"
        for number in range(2 * USUAL.wrong_tokens_per_place):
            shown = f"Authorization: Bearer {number:043}"
            link.sendall(f"GET /api/v1/me HTTP/1.1\r\n{host}\r\n{shown}\r\n\r\n".encode())
            status = status_of(link)
            if status == 429:
                assert number >= fewest
                return status
        return status


def silent(target: Target, *pieces: bytes, pause_seconds: float, is_secure: bool) -> int:
    """Send pieces with pauses for as long as the server lets one; how it answers."""
    with ExitStack() as stack:
        link = stack.enter_context(target.connect(is_secure=is_secure))
        link.settimeout(pause_seconds)
        for piece in pieces:
            try:
                link.sendall(piece)
                if not (said := link.recv(65_536)):
                    return 0
                return int(said.split(b" ")[1])
            except TimeoutError:
                continue
            except OSError:
                return 0
    raise AssertionError("it may go on for ever")


def _slow() -> Iterator[Row]:
    """To be tried at one time: each takes seconds, and none of them costs anything."""

    def drip(data: bytes, is_secure: bool = False) -> Callable[[Target], int]:
        pieces = [data[n : n + 1] for n in range(len(data))]
        return lambda target: silent(target, *pieces, pause_seconds=0.4, is_secure=is_secure)

    def nothing(target: Target) -> int:
        return silent(target, *[b""] * 100, pause_seconds=0.4, is_secure=False)

    def no_hello(target: Target) -> int:
        with socket.create_connection(("127.0.0.1", target.tls_port), timeout=30) as link:
            link.sendall(b"\x16\x03\x01\x02\x00")
            with suppress(ConnectionResetError):
                return len(link.recv(1))
            return 0

    def unregistered(target: Target) -> int:
        with target.open(PROCTOR, target.proctor).link as link:
            return code_of(link)

    def half_message(target: Target) -> int:
        with target.open(SENTINEL, target.sentinel).link as link:
            link.sendall(bytes((TEXT, 0x80)) + bytes(4))
            return code_of(link)

    request = HEAD + b"X-Some: thing\r\n" * 40
    shake = handshake(PROCTOR, JSON, "127.0.0.1:1")
    for name, act, expected in (
        ("a request, octet by octet", drip(request), 408),
        ("a request over TLS, octet by octet", drip(request, True), 408),
        ("a handshake, octet by octet", drip(shake), 408),
        ("nothing", nothing, 0),
        ("half a greeting of TLS", no_hello, 0),
        ("a socket that says nothing", unregistered, 4408),
        ("half a message", half_message, 4408),
    ):
        yield Row(21, name, act, expected, 10.0)


ROWS = tuple(
    row
    for make in (
        *(_http, _doubles, _sequences, _media, _sizes, _floods, _texts, _frames),
        *(_formats, _credentials, _origins, _paths, _names, _guesses),
    )
    for row in make()
)
SLOW = tuple(_slow())
