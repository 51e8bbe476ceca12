"""The bounded road from thread to thread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import EncodedFrame
from vidlink.sentinel.capture.frames import FrameQueue, MediaInit

INIT = MediaInit(1, b"init", 90_000)


def frame(number: int, keyframe: bool) -> EncodedFrame:
    """The `number`-th frame."""
    return EncodedFrame(1, number, 0, 18_000, 200, keyframe, 5_000, b"")


def collected(queue: FrameQueue) -> list[int]:
    """The numbers of the frames that wait."""
    return [each.media_time for _, each in queue.collect()]


class FrameQueueTests(SynchronousTestCase):
    """What waits, and what is dropped."""

    def test_in_order(self) -> None:
        """What is put in comes out in order, once, with the init it needs."""
        queue = FrameQueue(5)
        for number in range(4):
            self.assertTrue(queue.put(INIT, frame(number, number == 0)))
        self.assertEqual(
            queue.collect(), [(INIT, frame(number, number == 0)) for number in range(4)]
        )
        self.assertEqual(queue.collect(), [])
        self.assertEqual(queue.dropped, 0)

    def test_oldest_group_dropped(self) -> None:
        """At the bound the oldest keyframe goes, with all that builds on it."""
        queue = FrameQueue(5)
        for number in range(6):
            self.assertTrue(queue.put(INIT, frame(number, number in (0, 3))))
        self.assertEqual(collected(queue), [3, 4, 5])
        self.assertEqual(queue.dropped, 3)

    def test_only_one_group(self) -> None:
        """If all that waits builds on one keyframe, a new one has to be made."""
        queue = FrameQueue(3)
        for number in range(3):
            queue.put(INIT, frame(number, number == 0))
        self.assertFalse(queue.put(INIT, frame(3, False)))
        self.assertFalse(queue.put(INIT, frame(4, False)))
        self.assertTrue(queue.put(INIT, frame(5, True)))
        self.assertTrue(queue.put(INIT, frame(6, False)))
        self.assertEqual(collected(queue), [5, 6])
        self.assertEqual(queue.dropped, 5)

    @given(
        st.lists(st.sampled_from(("put", "put", "put", "keyframe", "take")), max_size=80),
        st.integers(1, 6),
    )
    def test_always_decodable(self, actions: list[str], bound: int) -> None:
        """Whatever happens: never more than the bound, and every frame follows what it needs."""
        queue = FrameQueue(bound)
        out: list[EncodedFrame] = []
        wanted = True
        for number, action in enumerate(actions):
            if action == "take":
                waiting = [each for _, each in queue.collect()]
                self.assertLessEqual(len(waiting), bound)
                out += waiting
            else:
                wanted = not queue.put(INIT, frame(number, wanted or action == "keyframe"))
        numbers = [number for number, action in enumerate(actions) if action != "take"]
        order = {number: place for place, number in enumerate(numbers)}
        last = -1
        for each in out:
            follows = order[each.media_time] == last + 1
            self.assertTrue(each.is_keyframe or follows)
            self.assertGreater(order[each.media_time], last)
            last = order[each.media_time]
