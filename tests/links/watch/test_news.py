"""Tests of the alarms that every Proctor hears of, whatever it is watching."""

from __future__ import annotations

from tests.fakes.peers import FakeProctorPeer, FakeSentinelPeer
from tests.links.memory import BINARY, JSON, SECOND, LinkCase
from vidlink.errors import IdInUse
from vidlink.messages import Clock, ErrorMessage
from vidlink.relay.alarms import QUIET_SECONDS


class AlarmTests(LinkCase):
    """Two machines with one id, and those who have to hear of it."""

    def setUp(self) -> None:
        """One of the machines is connected; three Proctors watch nothing."""
        super().setUp()
        self.sentinel = self.server.live()
        self.server.second(0.0)
        self.proctors = [self.server.proctor(codec) for codec in (BINARY, BINARY, JSON)]

    def clone(self) -> FakeSentinelPeer:
        """The other one tries, and is refused."""
        clone = self.server.sentinel(instance_id="clone")
        clone.register(SECOND)
        self.sentinel.answer()
        self.assert_closed(clone, IdInUse.close_code)
        return clone

    def errors(self, proctor: FakeProctorPeer) -> list[ErrorMessage]:
        """What errors a Proctor is told now."""
        return [message for message in proctor.read() if isinstance(message, ErrorMessage)]

    def test_everybody(self) -> None:
        """Every Proctor that has registered is told once, in band, which id it is about; and its
        connection stays open."""
        stranger = self.server.connect()
        self.clone()
        for proctor in self.proctors:
            (error,) = self.errors(proctor)
            self.assertEqual((error.code, error.about), ("id-in-use", "desk-1"))
            self.assert_open(proctor)
            self.assertEqual(self.errors(proctor), [])
        self.assertEqual(stranger.conversation.pull(), None)

    def test_at_once(self) -> None:
        """They are woken for it."""
        self.assertFalse(self.proctors[0].awake)
        self.clone()
        self.assertTrue(self.proctors[0].awake)

    def test_again(self) -> None:
        """As long as the other machine tries, they are told again, but not at every attempt."""
        proctor = self.proctors[0]
        for _ in range(10):
            self.clone()
        self.assertEqual(len(self.errors(proctor)), 1)
        self.server.second(QUIET_SECONDS)
        self.clone()
        self.assertEqual(len(self.errors(proctor)), 1)

    def test_newcomer(self) -> None:
        """Who comes later is told at the next attempt, and not of those before."""
        self.clone()
        newcomer = self.server.connect()
        newcomer.register()
        self.assertEqual(self.errors(newcomer), [])
        self.server.second(QUIET_SECONDS)
        self.clone()
        self.assertEqual(len(self.errors(newcomer)), 1)

    def test_shared(self) -> None:
        """Proctors of one format are given the same frame."""
        self.clone()
        for proctor in self.proctors:
            self.errors(proctor)
        first, second, other = (proctor.frames[-1] for proctor in self.proctors)
        self.assertIs(first, second)
        self.assertIsNot(first, other)

    def test_answers_first(self) -> None:
        """Answers come before alarms."""
        proctor = self.proctors[0]
        self.clone()
        proctor.say(Clock(7))
        kinds = [type(message) for message in proctor.read()]
        self.assertEqual(kinds, [Clock, ErrorMessage])
