"""Tests of `vidlink.access.enrolments`: machines that get tokens of their own by that of a room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import Credentials, Token
from vidlink.access.enrolments import Application
from vidlink.access.hashing import digest_of, new_token
from vidlink.errors import EnrolmentClosed, Forbidden
from vidlink.model import Enrolment, Role, is_sentinel_id

ROOM = Token("room-a", digest_of("room"), "Room A", frozenset({Role.ENROLMENT}), None, None,
             "Room A", 0, None, most=30)  # fmt: skip


def machine(number: int) -> str:
    """The fingerprint of a machine."""
    return f"{number:064x}"


class EnrolmentCase(SynchronousTestCase):
    """A data folder with the token of a room."""

    def setUp(self) -> None:
        """Make it."""
        self.begin()

    def begin(self, **wishes: Any) -> None:
        """A new folder, and a token as `wishes` have it."""
        self.credentials = Credentials(self.mktemp())
        self.addCleanup(self.credentials.close)
        self.credentials.put_token(replace(ROOM, **wishes))
        self.made = 0

    def enrol(self, asked_id: str, number: int, **wishes: Any) -> Enrolment:
        """Enrol a machine, which `number` tells from others."""
        self.made += 1
        token_id = f"own-{self.made}"
        asked = Application(
            "room-a", asked_id, machine(number), f"192.0.2.{number % 250}", "test/1", self.made,
            token_id, digest_of(new_token()),
        )  # fmt: skip
        return self.credentials.enrol(replace(asked, **wishes))

    def tokens(self) -> dict[str, Token]:
        """Those of machines, by id."""
        tokens = self.credentials.read().tokens
        return {one.token_id: one for one in tokens if Role.SENTINEL in one.roles}

    def ids(self) -> list[str]:
        """Everything that has enrolled."""
        return [one.sentinel_id for one in self.credentials.read().enrolments]


class RoomTests(EnrolmentCase):
    """A room whose machines are switched on for the first time."""

    def test_thirty(self) -> None:
        """Each of 30 machines gets the id that it asks for, a token that is bound to it and to the
        room's group, and a row that says where it came from and by what; the next is refused."""
        for number in range(30):
            made = self.enrol(f"desk-{number}", number)
            self.assertEqual((made.sentinel_id, made.is_valid), (f"desk-{number}", True))
        with self.assertRaisesRegex(EnrolmentClosed, "as many machines as it may .30"):
            self.enrol("desk-30", 30)
        self.assertEqual(len(self.ids()), 30)
        tokens = self.tokens()
        self.assertEqual(len({one.digest for one in tokens.values()}), 30)
        for one in self.credentials.read().enrolments:
            own = tokens[one.own_token]
            self.assertEqual((own.roles, own.sentinel_id), ({Role.SENTINEL}, one.sentinel_id))
            self.assertEqual((own.name, own.sentinel_group), (one.sentinel_id, "Room A"))
            self.assertEqual((own.expires_us, own.most), (None, None))
            self.assertEqual((one.room_token, one.software), ("room-a", "test/1"))

    def test_closed(self) -> None:
        """A token that is revoked, or over, enrols nobody any more; those that have enrolled keep
        what they have."""
        self.enrol("desk-1", 1)
        self.credentials.remove_token("room-a")
        with self.assertRaisesRegex(EnrolmentClosed, "has ended"):
            self.enrol("desk-2", 2)
        self.assertEqual(list(self.tokens()), ["own-1"])
        self.begin(expires_us=5)
        self.enrol("desk-1", 1, now_us=4)
        with self.assertRaisesRegex(EnrolmentClosed, "has ended"):
            self.enrol("desk-2", 2, now_us=5)

    def test_imaged_anew(self) -> None:
        """A machine that comes back is what it was, with a new token and without the old one; that
        counts as no further machine, and is possible in a room that is full."""
        self.begin(most=1)
        self.enrol("desk-1", 1)
        again = self.enrol("desk-1", 1)
        self.assertEqual((again.sentinel_id, again.own_token), ("desk-1", "own-2"))
        self.assertEqual(list(self.tokens()), ["own-2"])

    def test_other_room(self) -> None:
        """A machine that was carried into another room is what it was, in that room's group, and
        counts there and not here any more."""
        other = replace(ROOM, token_id="room-b", digest=digest_of("b"), sentinel_group="B", most=1)
        self.begin(most=1)
        self.credentials.put_token(other)
        self.enrol("desk-1", 1)
        moved = self.enrol("desk-1", 1, room_token="room-b")
        self.assertEqual((moved.sentinel_id, self.ids()), ("desk-1", ["desk-1"]))
        (own,) = self.tokens().values()
        self.assertEqual(own.sentinel_group, "B")
        self.enrol("desk-2", 2)
        with self.assertRaises(EnrolmentClosed):
            self.enrol("desk-2", 2, room_token="room-b")

    def test_no_room_for_others(self) -> None:
        """What is refused changes nothing: who had a token has it still."""
        self.begin(most=1)
        self.enrol("desk-1", 1)
        with self.assertRaises(EnrolmentClosed):
            self.enrol("desk-1", 2)
        self.assertEqual((self.ids(), list(self.tokens())), (["desk-1"], ["own-1"]))


class ApartTests(EnrolmentCase):
    """Machines that ask for one id."""

    def test_told_apart(self) -> None:
        """Who asks for an id that another machine has gets one that begins like it, which can be no
        host's name, and comes back under that."""
        self.enrol("desk-1", 1)
        second = self.enrol("desk-1", 2)
        self.assertRegex(second.sentinel_id, "^desk-1_[0-9a-f]{4}$")
        self.assertEqual(second.asked_id, "desk-1")
        self.assertEqual(self.enrol("desk-1", 2).sentinel_id, second.sentinel_id)
        self.assertEqual(self.enrol("desk-1", 1).sentinel_id, "desk-1")
        self.assertEqual(len(self.tokens()), 2)

    def test_same_after_a_loss(self) -> None:
        """A machine is told apart by the same id where nothing of it is known any more."""
        self.enrol("desk-1", 1)
        second = self.enrol("desk-1", 2).sentinel_id
        self.credentials.forget_enrolment(second)
        self.assertEqual(self.enrol("desk-1", 2).sentinel_id, second)

    def test_given_by_hand(self) -> None:
        """An id that a token was made for by hand is nobody's to ask for."""
        by_hand = replace(ROOM, token_id="hand", digest=b"", roles=frozenset({Role.SENTINEL}),
                          sentinel_id="desk-1")  # fmt: skip
        self.credentials.put_token(by_hand)
        self.assertNotEqual(self.enrol("desk-1", 1).sentinel_id, "desk-1")
        self.assertIn("hand", self.tokens())

    def test_copies(self) -> None:
        """A copy of a machine in everything, which is alive, keeps its id and its token; the other
        is told apart, and so is the third."""
        first = self.enrol("desk-1", 1)
        second = self.enrol("desk-1", 1, busy=frozenset({"desk-1"}))
        both = frozenset({"desk-1", second.sentinel_id})
        third = self.enrol("desk-1", 1, busy=both)
        self.assertEqual(len({first.sentinel_id, second.sentinel_id, third.sentinel_id}), 3)
        self.assertEqual(len(self.tokens()), 3)
        # Whichever is not alive is who comes back.
        again = self.enrol("desk-1", 1, busy=both - {second.sentinel_id})
        self.assertEqual(again.sentinel_id, second.sentinel_id)

    def test_two_on_one_machine(self) -> None:
        """A machine that asks for another id is another sentinel, beside the first."""
        self.enrol("screen-1", 1)
        self.assertEqual(self.enrol("screen-2", 1).sentinel_id, "screen-2")
        self.assertEqual(len(self.tokens()), 2)

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.sampled_from("ab"))
    def test_never_two(self, numbers: list[int], letter: str) -> None:
        """Whoever comes in whatever order, no two machines are ever one sentinel, and each id is
        one."""
        self.begin()
        asked_id = letter * 64
        for number in numbers:
            self.enrol(asked_id, number)
        found = self.credentials.read().enrolments
        self.assertEqual(len({one.machine for one in found}), len(found))
        self.assertEqual({one.machine for one in found}, {machine(one) for one in numbers})
        for one in found:
            self.assertTrue(is_sentinel_id(one.sentinel_id), one.sentinel_id)
        self.assertEqual(len(self.tokens()), len(found))


class RevokedTests(EnrolmentCase):
    """Machines that are put out."""

    def test_stays_out(self) -> None:
        """A machine whose token was revoked is not enrolled again, whatever it asks for and with
        whichever token; others are."""
        self.credentials.put_token(replace(ROOM, token_id="room-b", digest=digest_of("b")))
        made = self.enrol("desk-1", 1)
        self.credentials.remove_token(made.own_token)
        for asked_id, room_token in (("desk-1", "room-a"), ("desk-9", "room-a"), ("1", "room-b")):
            with self.assertRaisesRegex(Forbidden, "forget desk-1"):
                self.enrol(asked_id, 1, room_token=room_token)
        self.assertEqual(self.tokens(), {})
        (row,) = self.credentials.read().enrolments
        self.assertFalse(row.is_valid)
        # Nor does anybody else get its id.
        self.assertNotEqual(self.enrol("desk-1", 2).sentinel_id, "desk-1")

    def test_forgotten(self) -> None:
        """One that is forgotten is out too, and may enrol again."""
        self.enrol("desk-1", 1)
        self.assertTrue(self.credentials.forget_enrolment("desk-1"))
        self.assertEqual((self.tokens(), self.ids()), ({}, []))
        self.assertFalse(self.credentials.forget_enrolment("desk-1"))
        self.assertEqual(self.enrol("desk-1", 1).sentinel_id, "desk-1")
