"""The costs of encoding and decoding a message, in each format, side by side in one run.

``python -m benchmarks.wire`` from the root of the tree; ends by itself within seconds. The
formats take turns, so that a machine that is busy for a while is so for all of them; the best of
several rounds counts. Below each cost stands its ratio to that of the binary format; the last
number of a format is what a message of it is long.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from vidlink.interfaces import ICodec
from vidlink.messages import (
    Ack,
    Clock,
    KeyframeRequest,
    Message,
    SentinelRegister,
    Sentinels,
    Subscribe,
)
from vidlink.model import (
    InitSegment,
    RecordingState,
    Segment,
    SentinelState,
    SentinelStatus,
)
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.cbor import CborCodec
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.protobuf import ProtobufCodec

ROUNDS = 7
ROUND_SECONDS = 0.02

SESSION = "Wj3_qT-8mZ0aLeR4yCuK2vXd"
NOW_US = 1_700_000_000_000_000
ROW = SentinelStatus(
    "desk-12", "Desk 12", "Room A", SentinelState.LIVE, SESSION, 5_000, NOW_US, RecordingState.OK
)


def segment(size_bytes: int) -> Segment:
    """A segment with that much in it."""
    return Segment("desk-12", SESSION, 300, NOW_US, 200, 5_000, True, bytes(size_bytes))


MESSAGES: dict[str, Message] = {
    "segment, 1 KB": segment(1_000),
    "segment, 10 KB": segment(10_000),
    "segment, 100 KB": segment(100_000),
    "init, 755 octets": InitSegment("desk-12", SESSION, bytes(755)),
    "sentinel.register": SentinelRegister("desk-12", "k3VwqT_y", "VidLink 1.0", SESSION),
    "ack": Ack(SESSION, 300, load=0.02),
    "clock": Clock(NOW_US, NOW_US, NOW_US),
    "keyframe.request": KeyframeRequest("desk-12"),
    "subscribe": Subscribe("desk-12"),
    "sentinels, 100 rows": Sentinels(True, (ROW,) * 100),
}


def cost_us(call: Callable[[], object], count: int) -> float:
    """Microseconds a call, over `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


def best_us(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best round of each call, all in turns."""
    counts = {
        name: max(1, int(ROUND_SECONDS * 1e6 / cost_us(call, 3))) for name, call in calls.items()
    }
    rounds = [
        {name: cost_us(call, counts[name]) for name, call in calls.items()} for _ in range(ROUNDS)
    ]
    return {name: min(each[name] for each in rounds) for name in calls}


def calls_of(codec: ICodec, message: Message) -> dict[str, Callable[[], object]]:
    """Both directions of one message, by name."""
    payload = codec.encode(message)
    return {
        f"{codec.name} encode": lambda: codec.encode(message),
        f"{codec.name} decode": lambda: codec.decode(*payload),
    }


def row(name: str, cells: list[str]) -> str:
    """One line of the table."""
    return f"{name:22}" + "".join(f"{cell:>9}" for cell in cells)


def main() -> None:
    """Measure everything and print a table."""
    codecs = (BinaryCodec(), CborCodec(), ProtobufCodec(), JsonCodec())
    gc.disable()
    print(f"{'us a message':22}" + "".join(f"{codec.name:>27}" for codec in codecs))
    print(row("", ["encode", "decode", "octets"] * len(codecs)))
    for name, message in MESSAGES.items():
        calls = [calls_of(codec, message) for codec in codecs]
        best = list(best_us({way: call for each in calls for way, call in each.items()}).values())
        costs, ratios = [], []
        for index, codec in enumerate(codecs):
            pair = best[2 * index : 2 * index + 2]
            size = len(codec.encode(message)[0])
            costs += [*(f"{cost:.2f}" for cost in pair), str(size)]
            ratios += [
                *(f"{there / here:.1f}x" for here, there in zip(best, pair, strict=False)),
                "",
            ]
        print(row(name, costs))
        print(row("", ratios))


if __name__ == "__main__":
    main()
