"""The loads, and which servers carry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.relay import scripts
from benchmarks.relay.peers.files import NginxFiles, StaticFile
from benchmarks.relay.peers.others import Autobahn, InC, Nchan, Other, Picows, Ws
from benchmarks.relay.peers.ours import Vidlink
from vidlink.interfaces import ICodec
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.jsontext import JsonCodec

KB = 1024
#: All that are compared, in the order of the tables.
PEERS: tuple[Vidlink | Other, ...] = (
    Vidlink("vidlink", "VidLink"),
    Vidlink("stock", "VidLink, `--transport stock`", transport="stock"),
    Vidlink("unrecorded", "VidLink, recording nothing", is_recording=False),
    Nchan("nchan", "nchan (nginx)"),
    Ws("ws", "ws (Node)"),
    Picows("picows", "picows"),
    Autobahn("autobahn", "Autobahn, prepared messages"),
    InC("c", "a relay in C"),
    NginxFiles("nginx", "nginx"),
    StaticFile("static", "Twisted's `static.File`"),
)
_RELAYS = ("vidlink", "stock", "nchan", "ws", "picows", "autobahn", "c")


@dataclass(frozen=True, slots=True)
class Workload:
    """One load. Messages are `size` octets long as VidLink's wire has them.

    :param about: what it is, for a reader.
    :param peers: the servers that carry it.
    :param cost: what the processor's time is divided by: messages ``in``, or ``out``.
    :param rate: messages a second of each publisher; 0: as fast as twelve of each on the way allow.
    :param settling: seconds until a server of ours is in its steady state: the folders of new
        sessions are made, and each has been written to.
    :param rest: publishers that nobody watches, and the rate of each.
    :param rounds: how often it is run at most: those that repeat something themselves run once.
    :param times: how often its storm comes.
    :param seconds: for how long it is measured, or each storm; None: as the run is told.
    """

    name: str
    about: str
    peers: tuple[str, ...]
    publishers: int
    viewers: int
    size: int
    rate: float
    cost: str = "out"
    streams: int = 1
    settling: float = 1.0
    key_size: int = 0
    codec: ICodec = field(default_factory=BinaryCodec)
    slow: int = 0
    has_tls: bool = False
    rest: int = 0
    rest_rate: float = 0.0
    joiners: int = 0
    times: int = 0
    rounds: int = 1_000
    seconds: float | None = None
    has_memory: bool = False

    @property
    def duration_ms(self) -> int:
        """Of each segment. At full speed as short as can be: time must not run ahead of the
        clock, which the server would correct."""
        return int(1_000 / self.rate) if self.rate else 1

    def scripts(self, is_ours: bool) -> dict[str, list[str]]:
        """What is said on its connections."""
        key_size = self.key_size or self.size
        if not is_ours:
            return scripts.plain(self.size, key_size)
        return scripts.vidlink(self.codec, self.size, key_size, self.duration_ms)

    def options(self, is_ours: bool, seconds: float) -> list[str]:
        """What the load is told, but for the server's own."""
        told: Mapping[str, object] = {
            "publishers": self.publishers + self.rest,
            "watched": self.publishers,
            "viewers": self.viewers,
            "streams": self.streams,
            "rate": self.rate,
            "rest-rate": self.rest_rate,
            "window": 0 if self.rate else 12,
            "key-every": 10_000 // self.duration_ms if self.rate else 50,
            "ticks": scripts.ticks(self.duration_ms),
            "slow": self.slow,
            "joiners": self.joiners,
            "times": self.times,
            "tls": int(self.has_tls),
            "warmup": self.settling if is_ours else 1.0,
            "seconds": seconds if self.seconds is None else self.seconds,
            **({"publish-protocol": self.codec.name} if is_ours else {}),
        }
        return [word for name, value in told.items() for word in (f"--{name}", str(value))]


WORKLOADS = (
    Workload(
        "W1x20",
        "one sender to 200 viewers: 20 KB 50 times a second",
        ("vidlink", "stock", "nchan", "ws", "autobahn", "c"),
        publishers=1,
        viewers=200,
        size=20 * KB,
        rate=50,
    ),
    Workload(
        "W2s",
        "a room: 300 senders of 10 KB 20 times a second, ten viewers of 30 of them each",
        ("vidlink", "stock", "nchan", "ws", "autobahn"),
        publishers=300,
        viewers=10,
        streams=30,
        size=10 * KB,
        rate=20,
        cost="in",
        settling=6.0,
    ),
    Workload(
        "W3s",
        "1,000 senders of 10 KB five times a second, five viewers of one each",
        ("vidlink", "stock", "nchan", "ws", "autobahn"),
        publishers=1_000,
        viewers=5,
        size=10 * KB,
        rate=5,
        cost="in",
        settling=12.0,
    ),
    Workload(
        "W4",
        "as fast as it goes: ten senders of 20 KB, ten viewers of each",
        (*_RELAYS, "unrecorded"),
        publishers=10,
        viewers=100,
        size=20 * KB,
        rate=0,
    ),
    Workload(
        "W5",
        "as fast as it goes: ten senders of 1 KB, ten viewers of each",
        _RELAYS,
        publishers=10,
        viewers=100,
        size=1 * KB,
        rate=0,
    ),
    Workload(
        "keyframes",
        "as W1x20, with a keyframe of 300 KB in each 50 messages",
        ("vidlink", "nchan"),
        publishers=1,
        viewers=200,
        size=20 * KB,
        key_size=300 * KB,
        rate=50,
    ),
    Workload(
        "slow",
        "as W1x20, but half of the viewers take no more than 64 KiB a second; of the others",
        ("vidlink", "nchan", "ws"),
        publishers=1,
        viewers=200,
        slow=100,
        size=20 * KB,
        rate=50,
    ),
    Workload(
        "tls",
        "as W1x20, over TLS",
        ("vidlink", "nchan"),
        publishers=1,
        viewers=200,
        size=20 * KB,
        rate=50,
        has_tls=True,
    ),
    Workload(
        "json",
        "as W1x20, the sender writing JSON and the viewers reading binary",
        ("vidlink",),
        publishers=1,
        viewers=200,
        size=20 * KB,
        rate=50,
        codec=JsonCodec(),
    ),
    Workload(
        "join",
        "100 viewers at once, where ten sentinels have sent 10 KB five times a second for 20 s",
        ("vidlink",),
        publishers=10,
        viewers=1,
        size=10 * KB,
        rate=5,
        settling=21.0,
        joiners=100,
        times=5,
        seconds=1.5,
        rounds=1,
    ),
    Workload(
        "storm",
        "1,000 sentinels lose their connections and are back at once; ten others are watched",
        ("vidlink",),
        publishers=10,
        viewers=3,
        streams=10,
        size=10 * KB,
        rate=5,
        rest=1_000,
        rest_rate=1.0,
        settling=8.0,
        times=5,
        seconds=6.0,
        rounds=1,
    ),
    Workload(
        "memory",
        "1,000 sentinels that send 10 KB twice a second, after 45 s",
        ("vidlink",),
        publishers=1_000,
        viewers=5,
        size=10 * KB,
        rate=2,
        cost="in",
        settling=45.0,
        rounds=1,
        has_memory=True,
    ),
)
#: Ranges of a recording: the name, how many octets (0: all of it), over so many connections. The
#: whole comes first, so that all of it has been checked once when pieces are asked for.
RANGES = (("range-whole", 0, 4), ("range-1M", 2**20, 20), ("range-20K", 20 * KB, 20))
FILE_PEERS = ("vidlink", "nginx", "static")
