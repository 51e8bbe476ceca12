"""Tests of how the streams on one viewer's socket share it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from vidlink.links.turns import LEAD_BYTES, Turns
from vidlink.model import Frame


class Giver:
    """A stream that gives frames of these sizes, and then nothing."""

    def __init__(self, name: str, sizes: Iterable[int] = ()) -> None:
        self.name = name
        self.sizes = deque(sizes)

    def pull(self) -> Frame | None:
        """The next one; its header says whose it is."""
        if not self.sizes:
            return None
        header = self.name.encode()
        return Frame(header, bytes(self.sizes.popleft() - len(header)))


class TurnsTests(SynchronousTestCase):
    """Some streams, of which all want more than there is."""

    def setUp(self) -> None:
        """One with keyframes of 100 kB, two with frames of 10 and 1 kB."""
        self.turns = Turns()
        self.givers = {
            name: Giver(name, [size] * (10_000_000 // size))
            for name, size in (("a", 100_000), ("b", 10_000), ("c", 1_000))
        }
        for name, giver in self.givers.items():
            self.turns.add(name, giver)

    def given(self, octets: int) -> dict[str, int]:
        """What each is given of so many octets, about."""
        given: Counter[str] = Counter()
        while given.total() < octets:
            frame = self.turns.pull()
            assert frame is not None
            given[frame.header.decode()] += frame.size_bytes
        return given

    def test_same_octets(self) -> None:
        """Each is given the same number of octets, whatever the size of its frames."""
        given = self.given(3_000_000)
        self.assertEqual(set(given), {"a", "b", "c"})
        self.assertLessEqual(max(given.values()) - min(given.values()), 100_000)

    def test_what_one_does_not_need(self) -> None:
        """What one does not need the others have; it is not kept for it."""
        self.givers["c"].sizes.clear()
        given = self.given(2_000_000)
        self.assertLessEqual(abs(given["a"] - given["b"]), 100_000)
        self.givers["c"].sizes.extend([1_000] * 3_000)
        given = self.given(900_000)
        self.assertLessEqual(given["c"], 400_000)
        self.assertGreaterEqual(given["b"], 200_000)

    def test_small_ones_wait_for_one_frame_at_most(self) -> None:
        """A stream that wants little has it at once after the frame that is under way."""
        self.givers["b"].sizes.clear()
        self.given(1_000_000)
        self.givers["b"].sizes.append(10_000)
        self.assertIn("b", self.given(101_000))

    def test_focus(self) -> None:
        """The one in focus is served first; then it has one half, and the others the other."""
        self.turns.focus("b")
        self.assertEqual(set(self.given(LEAD_BYTES)), {"b"})
        given = self.given(4_000_000)
        self.assertLessEqual(abs(given["b"] - given["a"] - given["c"]), 200_000)
        self.assertLessEqual(abs(given["a"] - given["c"]), 100_000)

    def test_focus_with_nothing(self) -> None:
        """A focus that has nothing to give leaves all to the others, and saves up nothing."""
        self.givers["b"].sizes.clear()
        self.turns.focus("b")
        self.assertEqual(set(self.given(1_000_000)), {"a", "c"})
        self.givers["b"].sizes.extend([10_000] * 1_000)
        given = self.given(2_000_000)
        self.assertLessEqual(given["b"], 1_000_000 + LEAD_BYTES + 100_000)

    def test_focus_alone(self) -> None:
        """The one in focus has everything while the others have nothing to give."""
        self.turns.focus("b")
        self.givers["a"].sizes.clear()
        self.givers["c"].sizes.clear()
        self.assertEqual(set(self.given(2_000_000)), {"b"})
        self.givers["c"].sizes.extend([1_000] * 5_000)
        given = self.given(LEAD_BYTES + 400_000)
        self.assertGreaterEqual(given["c"], 190_000)

    def test_focus_moves(self) -> None:
        """A focus that moves counts from then on; one on nobody makes all alike."""
        self.turns.focus("b")
        self.given(2_000_000)
        self.turns.focus("a")
        self.assertEqual(set(self.given(LEAD_BYTES)), {"a"})
        self.turns.focus(None)
        self.assertEqual(set(self.given(300_000)), {"a", "b", "c"})

    def test_room_for_all(self) -> None:
        """After a moment in which there was room for all, everybody begins alike."""
        for giver in self.givers.values():
            giver.sizes.clear()
        self.givers["a"].sizes.append(100_000)
        self.given(100_000)
        self.assertIsNone(self.turns.pull())
        for giver in self.givers.values():
            giver.sizes.extend([1_000] * 100)
        self.assertEqual(Counter(self.given(3_000)), dict.fromkeys("abc", 1_000))

    def test_come_and_go(self) -> None:
        """One that comes late is not given what the others have had; one that goes is gone."""
        self.given(3_000_000)
        self.turns.add("d", Giver("d", [1_000] * 5_000))
        given = self.given(1_000_000)
        self.assertLessEqual(given["d"], 400_000)
        self.turns.remove("d")
        self.assertNotIn("d", self.given(1_000_000))
        self.turns.clear()
        self.assertIsNone(self.turns.pull())
