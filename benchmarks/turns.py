"""The cost of a frame to a viewer of many screens, of which one has something at a time.

``python -m benchmarks.turns`` from the root of the tree; ends by itself within half a minute. A
whole server in memory: each segment comes alone, is told to the one viewer, and is pulled as the
socket does, until there is nothing more. The numbers of screens take turns, so that a machine
that is busy for a while is so for all of them; the best of several rounds counts.
"""

from __future__ import annotations

import gc
import time

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer
from tests.links.memory import MemoryServer
from vidlink.messages import Focus, Subscribe
from vidlink.model import Arrival, Segment
from vidlink.relay.stream import Stream

SCREENS = (10, 300, 1_000)
ROUNDS = 7
FRAMES = 2_000
DATA = media.segment(0)


class Viewer:
    """One Proctor that watches so many screens."""

    def __init__(self, screens: int, is_focused: bool) -> None:
        server = MemoryServer(window_seconds=1.0)
        self._names = [f"desk-{number}" for number in range(screens)]
        self._streams: list[Stream] = []
        self._proctor: FakeProctorPeer = server.proctor()
        self._sequences = [0] * screens
        self._clock = server.clock
        for name in self._names:
            server.live(name)
            stream = server.hub.stream(name)
            assert stream is not None
            self._streams.append(stream)
            self._proctor.say(Subscribe(name))
        if is_focused:
            self._proctor.say(Focus(self._names[0]))
        self._proctor.read()

    def round_us(self) -> float:
        """Microseconds a frame, from its arrival until all is sent."""
        pull, given = self._proctor.conversation.pull, 0
        arrivals = [self._arrival(number) for number in range(FRAMES)]
        start = time.perf_counter()
        for stream, arrival in arrivals:
            stream.push(arrival)
            while pull() is not None:
                given += 1
        spent = time.perf_counter() - start
        assert given == FRAMES
        return spent / FRAMES * 1e6

    def _arrival(self, number: int) -> tuple[Stream, Arrival]:
        """The next segment, of one screen after the other."""
        which = number % len(self._names)
        stream = self._streams[which]
        assert stream.live is not None
        sequence, self._sequences[which] = self._sequences[which], self._sequences[which] + 1
        self._clock.advance(0.001)
        session_id = stream.live.session.session_id
        segment = Segment(self._names[which], session_id, sequence, 0, 200, 5_000, True, DATA)
        return stream, Arrival(segment, sequence, 1, self._clock.seconds(), 0)


def main() -> None:
    """Measure everything and print a table."""
    viewers = {(n, focused): Viewer(n, focused) for n in SCREENS for focused in (False, True)}
    gc.disable()
    rounds = [{key: viewer.round_us() for key, viewer in viewers.items()} for _ in range(ROUNDS)]
    print("us a frame    alike    one in focus")
    for screens in SCREENS:
        alike, focused = (min(each[screens, key] for each in rounds) for key in (False, True))
        print(f"{screens:5} screens {alike:7.1f} {focused:10.1f}")


if __name__ == "__main__":
    main()
