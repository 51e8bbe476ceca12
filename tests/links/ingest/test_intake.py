"""Tests of what makes an init and a segment acceptable, with real media."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from vidlink.errors import BadMessage, NotMedia, PeerError
from vidlink.links.ingest.intake import KNOWN_CAUSES, Intake
from vidlink.messages import DeclareGap
from vidlink.model import (
    TIME_LIMIT_US,
    Arrival,
    Cause,
    InitSegment,
    Limits,
    Registration,
    Segment,
)

SENTINEL = Registration("desk-1", "one", "Desk", "office", "test")
SESSION = "first-session-000"
LIMITS = Limits(max_segment_bytes=2_000, max_init_bytes=1_000)
INIT = InitSegment("desk-1", SESSION, media.init_segment())


def said(sequence: int, data: bytes, *, keyframe: bool, late: bool = False) -> Segment:
    """`data` with what its sender says of it."""
    start_us = sequence * 200_000
    return Segment("desk-1", SESSION, sequence, start_us, 200, 5_000, keyframe, data, late)


class IntakeCase(SynchronousTestCase):
    """The intake of one session."""

    def setUp(self) -> None:
        """Nothing has been taken in yet."""
        self.intake = Intake(SENTINEL, INIT, LIMITS, 7)

    def accept(
        self, sequence: int, *, keyframe: bool | None = None, late: bool = False, **wishes: int
    ) -> Arrival | None:
        """Take in segment `sequence`; `wishes` are those of `media.segment`."""
        data = media.segment(sequence, keyframe=keyframe, **wishes)
        intra = media.is_keyframe(sequence) if keyframe is None else keyframe
        segment = said(sequence, data, keyframe=intra, late=late)
        return self.intake.accept(segment, 5.0, 6 + segment.start_time_us)

    def taken(self, sequence: int, **wishes: bool) -> Arrival:
        """The same, of a segment that is new."""
        arrival = self.accept(sequence, **wishes)
        assert arrival is not None
        return arrival


class InitTests(IntakeCase):
    """What a session begins with."""

    def test_session(self) -> None:
        """The session is what the registration and the boxes say."""
        session = self.intake.session
        self.assertEqual((session.name, session.group), ("Desk", "office"))
        self.assertEqual((session.software, session.started_time_us), ("test", 7))
        self.assertEqual((session.width, session.height, session.timescale), (64, 48, 90_000))
        self.assertEqual(session.mime, 'video/mp4; codecs="avc1.42C00A"')
        self.assertEqual(session.init, media.init_segment())

    def test_init_is_kept_apart(self) -> None:
        """The session keeps octets of its own, not a view into what the socket gave."""
        octets = bytearray(media.init_segment())
        message = InitSegment("desk-1", SESSION, memoryview(octets))
        session = Intake(SENTINEL, message, LIMITS, 7).session
        octets[:] = bytes(len(octets))
        self.assertEqual(session.init, media.init_segment())
        self.assertIsInstance(session.init, bytes)

    def test_too_large(self) -> None:
        """An init over the limit is refused before it is looked at; one at the limit is not."""
        for size, is_fine in ((1_000, True), (1_001, False)):
            note = bytes(size - len(media.init_segment()) - 8)
            message = InitSegment("desk-1", SESSION, media.init_segment(note))
            self.assertEqual(len(message.data), size)
            if is_fine:
                Intake(SENTINEL, message, LIMITS, 7)
            else:
                self.assertRaises(BadMessage, Intake, SENTINEL, message, LIMITS, 7)

    def test_not_media(self) -> None:
        """An init that is something else is refused."""
        for data in (b"x", media.segment(0), media.init_segment()[:-1]):
            message = InitSegment("desk-1", SESSION, data)
            self.assertRaises(NotMedia, Intake, SENTINEL, message, LIMITS, 7)

    def test_repeats(self) -> None:
        """The same init again is known again; another one under the same id is refused."""
        self.assertTrue(self.intake.repeats(INIT))
        self.assertTrue(self.intake.repeats(replace(INIT, data=memoryview(bytes(INIT.data)))))
        self.assertFalse(self.intake.repeats(replace(INIT, session_id="second-session-00")))
        changed = replace(INIT, data=media.init_segment(b"changed"))
        self.assertRaises(NotMedia, self.intake.repeats, changed)


class SequenceTests(IntakeCase):
    """The order of segments."""

    def test_stamps(self) -> None:
        """What is taken carries the server's stamps, the boxes' times and the frames given."""
        segment = said(0, media.segment(0, duration=123), keyframe=True)
        arrival = self.intake.accept(segment, 5.0, 6, b"frame", "vidlink.v1.binary")
        assert arrival is not None
        self.assertIs(arrival.segment, segment)
        self.assertEqual(arrival.frame_for("vidlink.v1.binary"), b"frame")
        self.assertIsNone(arrival.frame_for("vidlink.v1.json"))
        self.assertEqual((arrival.arrived_seconds, arrival.received_time_us), (5.0, 6))
        self.assertEqual((arrival.media_time, arrival.media_duration), (0, 123))

    def test_in_order(self) -> None:
        """Segments in their order decode, from the first keyframe segment on."""
        decodable = [not self.taken(number).is_undecodable for number in range(12)]
        self.assertEqual(decodable, [True] * 12)

    def test_begins_without_a_keyframe(self) -> None:
        """What comes before the first keyframe segment does not decode."""
        self.assertTrue(self.taken(8).is_undecodable)
        self.assertTrue(self.taken(9).is_undecodable)
        self.assertFalse(self.taken(10).is_undecodable)

    def test_jump(self) -> None:
        """After a jump nothing decodes up to the next keyframe segment."""
        self.taken(0)
        self.assertEqual(
            [self.taken(number).is_undecodable for number in (2, 3, 9, 10, 11)],
            [True, True, True, False, False],
        )

    def test_jump_to_a_keyframe(self) -> None:
        """A jump to a keyframe segment breaks nothing."""
        self.taken(0)
        self.assertFalse(self.taken(10).is_undecodable)
        self.assertFalse(self.taken(11).is_undecodable)

    def test_duplicate(self) -> None:
        """The last segment once more is dropped, whatever is in it; not if it comes as late,
        for it may have been asked for."""
        self.taken(0)
        self.taken(1)
        self.assertIsNone(self.accept(1))
        self.assertIsNotNone(self.accept(1, late=True))
        self.assertIsNone(self.intake.accept(said(1, b"junk", keyframe=True), 5.0, 6))
        self.assertFalse(self.taken(2).is_undecodable)

    def test_backwards(self) -> None:
        """A lower sequence is refused, unless it says that it is late."""
        self.taken(0)
        self.taken(5, keyframe=True)
        self.assertRaises(BadMessage, self.accept, 3)
        self.assertIsNotNone(self.accept(3, late=True))

    def test_late_is_for_no_viewer(self) -> None:
        """Of what is late, which goes to the recording alone, no frame for viewers is kept."""
        self.taken(1)
        segment = said(0, media.segment(0), keyframe=True, late=True)
        arrival = self.intake.accept(segment, 5.0, 6, b"frame", "vidlink.v1.binary")
        assert arrival is not None
        self.assertIsNone(arrival.frame_for("vidlink.v1.binary"))

    def test_late_disturbs_nothing(self) -> None:
        """A late segment fills its hole, and the order of the others is as if it had not come."""
        self.taken(0)
        self.taken(5, keyframe=True)
        late = self.taken(3, late=True)
        self.assertFalse(late.is_undecodable)
        self.assertFalse(self.taken(6).is_undecodable)

    def test_of_a_session_that_is_over(self) -> None:
        """Of a session that is over any sequence may come late, in any order and again, and any
        may be declared lost."""
        intake = Intake(SENTINEL, INIT, LIMITS, 7, is_over=True)
        for number in (2**32 - 1, 0, 3, 2, 2, 2**32 - 1):
            data = media.segment(number, keyframe=False, media_time=number)
            taken = intake.accept(said(number, data, keyframe=False, late=True), 5.0, 6)
            assert taken is not None
            self.assertEqual((taken.media_time, taken.is_undecodable), (number, False))
        gap = intake.declared(DeclareGap(SESSION, 0, 2**32 - 1, "the spool is gone"))
        self.assertEqual((gap.first, gap.last), (0, 2**32 - 1))

    def test_late_from_the_future(self) -> None:
        """Nothing can be late that has not been passed yet."""
        self.taken(0)
        self.assertRaises(BadMessage, self.accept, 2, late=True)

    def test_longest_jump(self) -> None:
        """A jump of a million is a gap, one of more a mistake; from the start as well."""
        self.taken(999_999, keyframe=True)
        self.taken(1_999_999, keyframe=True)
        self.assertRaises(BadMessage, self.accept, 3_000_000, keyframe=True)
        self.setUp()
        self.assertRaises(BadMessage, self.accept, 1_000_000, keyframe=True)

    @given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans()), max_size=40))
    def test_any_order(self, offers: list[tuple[int, bool, bool]]) -> None:
        """Whatever is offered, what is taken and not late ascends, and decodes where it says."""
        self.setUp()
        taken: list[Arrival] = []
        for sequence, keyframe, late in offers:
            try:
                arrival = self.accept(sequence, keyframe=keyframe, late=late)
            except PeerError:
                continue
            if arrival is not None and not late:
                taken.append(arrival)
        numbers = [arrival.segment.sequence for arrival in taken]
        self.assertEqual(numbers, sorted(set(numbers)))
        decodes = False
        previous = -1
        for arrival, number in zip(taken, numbers, strict=True):
            decodes = arrival.segment.is_keyframe or (decodes and number == previous + 1)
            self.assertEqual(arrival.is_undecodable, not decodes)
            previous = number


class TimeTests(IntakeCase):
    """When a segment was captured, as its sender says."""

    def test_end_of_time(self) -> None:
        """A segment has to be over before time is: its end is listed to viewers, and one that
        no list can carry would leave all of them without any list."""
        last_start_us = TIME_LIMIT_US - 200_000
        segment = said(0, media.segment(0), keyframe=True)
        beyond = replace(segment, start_time_us=last_start_us)
        self.assertRaises(BadMessage, self.intake.accept, beyond, 5.0, 6)
        within = replace(segment, start_time_us=last_start_us - 1)
        self.assertIsNotNone(self.intake.accept(within, 5.0, 6))

    def test_corrected(self) -> None:
        """A start time that cannot be is corrected and marked, and what is sent to viewers says
        the corrected one: nothing of it is passed on as it came."""
        self.assertFalse(self.taken(0).is_time_corrected)
        segment = replace(said(1, media.segment(1), keyframe=False), start_time_us=-3_000)
        arrival = self.intake.accept(segment, 5.2, 200_006, b"frame", "vidlink.v1.binary")
        assert arrival is not None
        self.assertTrue(arrival.is_time_corrected)
        self.assertEqual(arrival.segment, replace(segment, start_time_us=200_000))
        self.assertIsNone(arrival.frame_for("vidlink.v1.binary"))
        self.assertFalse(self.taken(2).is_time_corrected)


class MediaTests(IntakeCase):
    """What is in a segment."""

    def test_begins_late(self) -> None:
        """A session whose media do not begin at 0 is refused at its first segment."""
        self.refuse(said(0, media.segment(0, media_time=900_001), keyframe=True))
        self.assertIsNotNone(self.accept(0, media_time=900_000))

    def test_init_that_cuts(self) -> None:
        """An init that players do not show whole films by is refused, with what it is."""
        data = media.init_segment().replace(
            bytes.fromhex("00015f90"), (20_000_000).to_bytes(4, "big")
        )
        message = InitSegment("desk-1", SESSION, data)
        self.assertRaises(NotMedia, Intake, SENTINEL, message, LIMITS, 7)

    def refuse(self, segment: Segment, kind: type[PeerError] = NotMedia) -> None:
        """The intake refuses `segment`."""
        self.assertRaises(kind, self.intake.accept, segment, 5.0, 6)

    def test_flag_lies(self) -> None:
        """A keyframe flag that is not that of the boxes is refused, either way."""
        self.refuse(said(0, media.segment(0, keyframe=True), keyframe=False))
        self.refuse(said(0, media.segment(0, keyframe=False), keyframe=True))

    def test_other_number(self) -> None:
        """A segment that carries another sequence in its boxes is refused."""
        self.refuse(said(1, media.segment(0), keyframe=True))

    def test_junk(self) -> None:
        """A segment that is no media is refused."""
        for data in (b"junk", media.init_segment(), media.segment(0)[:-1], media.segment(0) * 2):
            self.refuse(said(0, data, keyframe=True))

    def test_media_time_stands_still(self) -> None:
        """Media time has to advance from segment to segment."""
        self.accept(0, media_time=500)
        for media_time in (500, 499):
            self.assertRaises(NotMedia, self.accept, 1, media_time=media_time)
        self.accept(1, media_time=501)

    def test_late_in_media_time(self) -> None:
        """A late segment comes with the media time it had, and moves none."""
        self.accept(0)
        self.accept(5, keyframe=True)
        self.assertIsNotNone(self.accept(3, late=True))
        self.assertRaises(NotMedia, self.accept, 6, media_time=5 * media.FRAME_TICKS)

    def test_refused_leaves_no_trace(self) -> None:
        """What has been refused does not count as having come."""
        self.taken(0)
        self.refuse(said(1, b"junk", keyframe=False))
        self.assertFalse(self.taken(1).is_undecodable)

    def test_too_large(self) -> None:
        """A segment over the limit is refused before it is looked at; one at it is not."""
        spare = 2_000 - len(media.segment(0, filler_bytes=1))
        exact = media.segment(0, filler_bytes=1 + spare)
        self.assertEqual(len(exact), 2_000)
        self.refuse(said(0, bytes(2_001), keyframe=True), BadMessage)
        self.assertIsNotNone(self.intake.accept(said(0, exact, keyframe=True), 5.0, 6))

    def test_large_late_one(self) -> None:
        """The limit holds for late segments too."""
        self.taken(0)
        self.taken(5, keyframe=True)
        self.refuse(said(3, bytes(2_001), keyframe=False, late=True), BadMessage)


class GapTests(IntakeCase):
    """What a Sentinel declares lost."""

    def test_declared(self) -> None:
        """A gap in what has been passed is taken as the Sentinel's word, with its reason."""
        self.taken(0)
        self.taken(10)
        gap = self.intake.declared(DeclareGap(SESSION, 3, 9, "spool was full"))
        self.assertEqual((gap.first, gap.last), (3, 9))
        self.assertEqual((gap.cause, gap.detail), (Cause.DECLARED, "spool was full"))

    def test_known_causes(self) -> None:
        """A full spool is a cause of its own; other words that are known are told in words."""
        self.taken(0)
        self.taken(10)
        for word, (cause, detail) in KNOWN_CAUSES.items():
            gap = self.intake.declared(DeclareGap(SESSION, 3, 9, word))
            self.assertEqual((gap.cause, gap.detail), (cause, detail))
        self.assertIs(KNOWN_CAUSES["spool-full"][0], Cause.SPOOL_FULL)
        page = (Path(__file__).parents[3] / "docs" / "reference" / "wire.md").read_text("utf-8")
        row = r"^\| `([a-z-]+)` \| [^|]* \| `([a-z-]+)`(?:, with these words: (.*))? \|$"
        told = re.findall(row, page, re.MULTILINE)
        known = [(word, cause.value, detail) for word, (cause, detail) in KNOWN_CAUSES.items()]
        self.assertEqual(told, known)

    def test_future(self) -> None:
        """What has not been passed yet cannot be lost."""
        self.taken(0)
        self.assertRaises(BadMessage, self.intake.declared, DeclareGap(SESSION, 0, 1, "lost"))
