"""Four sentinels and a proctor in a process of their own, which says what it sees.

Beside a test that floods a server in threads it would be late for its own sake.

    python -m tests.hostile.watching PORT PROCTOR-TOKEN SENTINEL-TOKEN...

A line for each segment that arrives: the sentinel's id, the sequence, when it was sent and when
it arrived, by the monotonic clock of the system. What is no segment is a line with its type alone.
"""

from __future__ import annotations

import asyncio
import sys

from tests.rigs.crowd import join, sending
from tests.rigs.scripted import Sender, Viewer
from vidlink.messages import Message, Skipped, Subscribe
from vidlink.model import Segment


class Telling(Viewer):
    """A Proctor that tells what it hears at once."""

    senders: dict[str, Sender]

    def hear(self, message: Message) -> None:
        """Tell it."""
        super().hear(message)
        if isinstance(message, Segment):
            sentinel_id, sequence, came = self.came.pop()
            sent = self.senders[sentinel_id].sent_seconds.pop(sequence)
            self.senders[sentinel_id].sent.pop(sequence)
            print(sentinel_id, sequence, sent, came, flush=True)
        elif isinstance(message, Skipped):
            print(type(message).__name__, flush=True)
        self.heard.clear()
        self.others.clear()


async def watch(port: int, token: str, tokens: list[str]) -> None:
    """Go on until the process is ended."""
    senders = {
        f"watched-{number}": Sender(f"watched-{number}", lambda _: 2_000, token=shown)
        for number, shown in enumerate(tokens)
    }

    async def course() -> None:
        while not all(sender.sent_seconds for sender in senders.values()):
            await asyncio.sleep(0.05)
        viewer = Telling(port, *(Subscribe(name) for name in senders), token=token)
        viewer.senders = senders
        await join(port, viewer)
        while not viewer.is_lost:
            await asyncio.sleep(0.1)
        print("closed", flush=True)

    await sending(senders.values(), port, course())


if __name__ == "__main__":
    asyncio.run(watch(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
