"""Tests of how the streams on one viewer's socket share it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from vidlink.links.watch.turns import LEAD_BYTES, Turns
from vidlink.model import Frame


class Giver:
    """A stream that gives frames of these sizes, and then nothing; `asked` counts how often.

    Some know when they have nothing more, and some have to be asked.
    """

    def __init__(self, name: str, sizes: Iterable[int] = ()) -> None:
        self.name = name
        self.sizes = deque(sizes)
        self.asked = 0

    @property
    def is_done(self) -> bool:
        """True only if there is nothing more."""
        return self.name in "ab" and not self.sizes

    def pull(self) -> Frame | None:
        """The next one; it says whose it is."""
        self.asked += 1
        if not self.sizes:
            return None
        return self.name.encode().ljust(self.sizes.popleft())


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

    def more(self, name: str, sizes: Iterable[int]) -> None:
        """One has these as well, and says so."""
        self.givers[name].sizes.extend(sizes)
        self.turns.ready(name)

    def given(self, octets: int) -> dict[str, int]:
        """What each is given of so many octets, about."""
        given: Counter[str] = Counter()
        while given.total() < octets:
            frame = self.turns.pull()
            assert frame is not None
            given[frame.decode().rstrip()] += len(frame)
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
        self.more("c", [1_000] * 3_000)
        given = self.given(900_000)
        self.assertLessEqual(given["c"], 400_000)
        self.assertGreaterEqual(given["b"], 200_000)

    def test_small_ones_wait_for_one_frame_at_most(self) -> None:
        """A stream that wants little has it at once after the frame that is under way."""
        self.givers["b"].sizes.clear()
        self.given(1_000_000)
        self.more("b", [10_000])
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
        self.more("b", [10_000] * 1_000)
        given = self.given(2_000_000)
        self.assertLessEqual(given["b"], 1_000_000 + LEAD_BYTES + 100_000)

    def test_focus_alone(self) -> None:
        """The one in focus has everything while the others have nothing to give."""
        self.turns.focus("b")
        self.givers["a"].sizes.clear()
        self.givers["c"].sizes.clear()
        self.assertEqual(set(self.given(2_000_000)), {"b"})
        self.more("c", [1_000] * 5_000)
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
        self.more("a", [100_000])
        self.given(100_000)
        self.assertIsNone(self.turns.pull())
        for name in self.givers:
            self.more(name, [1_000] * 100)
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

    def test_idle_ones_cost_nothing(self) -> None:
        """Who has said that there is nothing is not asked again before there is something."""
        idle = [Giver(f"idle-{number}") for number in range(100)]
        for giver in idle:
            self.turns.add(giver.name, giver)
        for focus in (None, "idle-1", "a", None):
            self.turns.focus(focus)
            self.given(1_000_000)
        self.assertEqual({giver.asked for giver in idle}, {1})
        idle[1].sizes.append(1_000)
        self.turns.ready("idle-1")
        self.turns.ready("nobody")
        self.assertIn("idle-1", self.given(111_000))
        self.assertEqual((idle[0].asked, idle[1].asked), (1, 3))

    def test_done(self) -> None:
        """Who knows that that was all is not asked again before it is ready, in focus or not."""
        for focus in (None, "a"):
            turns, giver = Turns(), Giver("a", [10])
            turns.add("a", giver)
            turns.focus(focus)
            self.assertIsNotNone(turns.pull())
            self.assertIsNone(turns.pull())
            self.assertEqual(giver.asked, 1)
            giver.sizes.append(10)
            turns.ready("a")
            self.assertIsNotNone(turns.pull())

    def test_ready_while_asked(self) -> None:
        """What comes to a stream in the very moment in which it has nothing is not forgotten;
        and one that is left in that moment harms nobody."""
        turns = self.turns

        class Late(Giver):
            def pull(self) -> Frame | None:
                frame = super().pull()
                if self.asked == 1:
                    self.sizes.append(1_000)
                    turns.ready(self.name)
                return frame

        class Leaver(Giver):
            def pull(self) -> Frame | None:
                turns.remove(self.name)
                return super().pull()

        turns.clear()
        turns.add("late", Late("late"))
        turns.add("leaver", Leaver("leaver", [1_000] * 2))
        self.assertEqual(Counter(self.given(2_000)), {"late": 1_000, "leaver": 1_000})
        self.assertIsNone(turns.pull())


class TurnsMachine(RuleBasedStateMachine):
    """Streams come, go, fill and are in focus in any order; a list of sizes for each is the model.

    A stream is told apart from an earlier one of its name, whose frames must not come any more.
    """

    names = st.sampled_from("abcde")
    sizes = st.lists(st.sampled_from((10, 1_000, 400_000)), max_size=4)

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.givers: dict[str, Giver] = {}

    @rule(name=names, sizes=sizes)
    def come(self, name: str, sizes: list[int]) -> None:
        """One takes part, or has more."""
        if name not in self.givers:
            self.givers[name] = Giver(name, sizes)
            self.turns.add(name, self.givers[name])
        else:
            self.givers[name].sizes.extend(sizes)
            self.turns.ready(name)

    @rule(name=names)
    def go(self, name: str) -> None:
        """One takes part no more."""
        if self.givers.pop(name, None) is not None:
            self.turns.remove(name)

    @rule()
    def clear(self) -> None:
        """Nobody does."""
        self.givers.clear()
        self.turns.clear()

    @rule(name=st.one_of(st.none(), names))
    def focus(self, name: str | None) -> None:
        """Another one is in focus, whether it takes part or not."""
        self.turns.focus(name)

    @rule(count=st.integers(1, 5))
    def pull(self, count: int) -> None:
        """There is room for some; somebody has the next one as long as anybody has."""
        for _ in range(count):
            before = {name: list(giver.sizes) for name, giver in self.givers.items()}
            frame = self.turns.pull()
            if frame is None:
                assert not any(before.values()), before
                return
            assert len(frame) == before[frame.decode().rstrip()][0]

    @rule()
    def drain(self) -> None:
        """There is room for all."""
        while self.turns.pull() is not None:
            pass
        assert not any(giver.sizes for giver in self.givers.values())


class AnyOrderTests(SynchronousTestCase):
    """Turns against the model."""

    def test_any_order(self) -> None:
        """Whatever comes, goes and is in focus, nothing is left while there is room."""
        run_state_machine_as_test(
            TurnsMachine, settings=settings(max_examples=100, stateful_step_count=40, deadline=None)
        )
