"""Messages that begin and never end, in a real server."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack

from tests.rigs.daemons import Site, until
from tests.rigs.frames import BINARY, TEXT, Frames, client_frame, handshake
from tests.rigs.process import usage
from tests.rigs.scripted import FORMAT
from vidlink.messages import SentinelRegister
from vidlink.plugins import find_codecs

MIB = 1024 * 1024
CLOSE = 8


class Half:
    """A Sentinel, registered or not, that begins a message of 16 MiB and sends 14 of it."""

    def __init__(self, port: int, name: str = "") -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.link.sendall(handshake("/ws/sentinel", FORMAT, f"127.0.0.1:{port}"))
        self.frames = Frames()
        while not self.frames.has_opened:
            assert not list(self.frames.feed(self.link.recv(1)))
        if name:
            codec = next(codec for codec in find_codecs() if codec.name == FORMAT)
            register = SentinelRegister(name, "one", "half/1", f"the-session-of-{name}")
            self.link.sendall(client_frame(TEXT, codec.encode(register)[0]))
            self.next()
        try:
            self.link.sendall(struct.pack("!BBQ", 0x80 | BINARY, 0xFF, 15 * MIB) + bytes(4))
            self.link.sendall(bytes(14 * MIB))
        except ConnectionError:
            "The server has closed it in the middle."

    def next(self) -> tuple[int, bytes]:
        """The next frame that the server sends."""
        data = b""
        while True:
            for frame in self.frames.feed(data):
                return frame
            data = self.link.recv(65_536)

    def closing_code(self) -> int:
        """Wait until it is closed, and with which code."""
        while True:
            opcode, payload = self.next()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])


def test_strangers(site: Site) -> None:
    """Thirty that are not registered are closed (1009), and take no memory."""
    server = site.start_server()
    before = usage(server.process.pid).peak_bytes
    halves = [Half(site.port) for _ in range(30)]
    assert {half.closing_code() for half in halves} == {1009}
    assert usage(server.process.pid).peak_bytes < before + 30 * MIB


def test_sentinels(site: Site) -> None:
    """Of twenty that are registered those go that are above the bound, with 4503, and who sends
    whole messages goes on."""
    server = site.start_server("--buffer-total-bytes", str(64 * MIB))
    before = usage(server.process.pid).peak_bytes
    site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    with ExitStack() as stack:
        halves = []
        for number in range(20):
            halves.append(Half(site.port, f"half-{number}"))
            stack.callback(halves[-1].link.close)
            if number == 4:
                assert halves[0].closing_code() == 4503
        assert usage(server.process.pid).peak_bytes < before + 2 * 64 * MIB
        last = int(site.recorded("desk-1", session, 5)[-1]["sequence"])
        until(lambda: site.recorded("desk-1", session, 5)[-1]["sequence"] > last + 5)
    assert site.status_of("desk-1")["state"] == "live"
