"""Tests of what films say of their holes."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.movies import texts
from tests.store.rig import Rig
from tests.store.samples import FRAME_TICKS, a_session, an_arrival
from vidlink.fmp4 import Caption
from vidlink.model import Cause, ClipQuery, Gap
from vidlink.store.files.columns import read_columns
from vidlink.store.files.layout import pack_record
from vidlink.store.film import captions as module
from vidlink.store.film.captions import MOST_CAPTIONS, captions
from vidlink.store.film.footage import Footage
from vidlink.store.film.scene import Scene
from vidlink.store.sequences.window import SequenceWindow

DAY = "2024-01-01 00:00:"


class CaptionsTests(SynchronousTestCase):
    """Captions of holes."""

    def footage(self, *sequences: int, key_every: int = 5) -> Footage:
        """A footage of these segments, five a second."""
        session, scene = a_session(), Scene()
        for sequence in sequences:
            arrival = an_arrival(session, sequence, keyframe=sequence % key_every == 0)
            scene.take(0, read_columns(pack_record(arrival, 0, 0)), lambda place: None)
        return Footage(scene, len(scene), Scene(scene), session.timescale)

    def said(self, footage: Footage, *gaps: Gap) -> tuple[Caption, ...]:
        """The captions of all of it."""
        return captions(footage, footage.breaks(0, len(footage)), lambda window: gaps)

    def test_cause(self) -> None:
        """A caption stands from the end of the last picture before the hole to the first after
        it, and says from when to when, in which zone, and why."""
        footage = self.footage(*range(7), *range(13, 17))
        (found,) = self.said(
            footage,
            Gap(7, 12, Cause.DISK_FULL),
            Gap(40, 50, Cause.DECLARED),
            Gap(None, None, Cause.SERVER_STOPPED, 5, 9),
        )
        text = f"Not recorded from {DAY}01 to 00:00:03 (UTC): the disk was full"
        self.assertEqual(found, Caption(7 * FRAME_TICKS, 15 * FRAME_TICKS, text))

    def test_several_causes(self) -> None:
        """All causes of one hole are named, each once; what has no name is called what it is."""
        footage = self.footage(0, 10)
        (found,) = self.said(
            footage,
            Gap(1, 2, Cause.DECLARED, detail="a picture was too large"),
            Gap(3, 3, Cause.QUEUE_FULL),
            Gap(4, 9, Cause.QUEUE_FULL),
        )
        self.assertTrue(
            found.text.endswith(
                ": the sentinel lost it (a picture was too large); the disk was too slow"
            ),
            found.text,
        )
        for cause in Cause:
            (found,) = self.said(footage, Gap(1, 9, cause))
            self.assertGreater(len(found.text.partition("(UTC): ")[2]), len(cause.value))

    def test_without_a_statement(self) -> None:
        """Where all is recorded, and only cannot be decoded, it says that."""
        (found,) = self.said(self.footage(0, 1, 10))
        self.assertIn("cannot be decoded", found.text)

    def test_many(self) -> None:
        """However many holes there are, captions are bounded: neighbours share one."""
        footage = self.footage(*range(0, 40, 2), key_every=2)
        self.patch(module, "MOST_CAPTIONS", 4)
        found = self.said(footage, *(Gap(n, n, Cause.DECLARED) for n in range(1, 40, 2)))
        self.assertEqual(len(found), 4)
        self.assertIn("5 gaps", found[0].text)
        self.assertLessEqual(MOST_CAPTIONS, 1_000)
        for one, other in pairwise(found):
            self.assertLessEqual(one.end, other.start)

    def test_asked_for(self) -> None:
        """Of the gaps of a session those around a caption are asked for, once for each caption,
        however many the session has."""
        footage = self.footage(0, 2, 4, 6, 8, 10, key_every=2)
        asked: list[SequenceWindow] = []

        def gaps(window: SequenceWindow) -> tuple[Gap, ...]:
            asked.append(window)
            return (Gap(1, 1, Cause.DECLARED), Gap(9, 9, Cause.DISK_FULL))

        self.patch(module, "MOST_CAPTIONS", 3)
        found = captions(footage, footage.breaks(0, len(footage)), gaps)
        self.assertEqual(asked, [SequenceWindow(0, 3), SequenceWindow(4, 7), SequenceWindow(8, 9)])
        self.assertIn("the sentinel lost it", found[0].text)
        self.assertIn("cannot be decoded", found[1].text)
        self.assertIn("disk was full", found[2].text)

    def test_times_without_a_name(self) -> None:
        """A session of an age that no calendar has is told without times."""
        scene, session = Scene(), a_session()
        object.__setattr__(session, "started_time_us", 2**62)
        for sequence in (0, 5):
            arrival = an_arrival(session, sequence)
            scene.take(0, read_columns(pack_record(arrival, 0, 0)), lambda place: None)
        footage = Footage(scene, 2, Scene(scene), session.timescale)
        (found,) = self.said(footage)
        self.assertIn("Not recorded for a time", found.text)

    def test_in_a_film(self) -> None:
        """The captions of a film are those of its part of the session; what fills a hole takes
        its caption away."""
        rig, session = Rig(self.mktemp()), a_session()
        self.addCleanup(rig.close)
        ledger = rig.store.ledger
        ledger.begin(session, lambda sequence: None)
        for sequence in (*range(7), *range(10, 17), 20, 21):
            ledger.append(session.session_id, an_arrival(session, sequence))
        ledger.gap(session.session_id, Gap(7, 9, Cause.DECLARED, detail="lost"))
        rig.settle()

        def said(query: ClipQuery) -> list[str]:
            asked = rig.store.archive.film("desk-1", session.session_id, query)
            body, _ = self.successResultOf(asked)
            data = self.successResultOf(body.read(0, body.size_bytes))
            return [text for *_, text in texts(data)]

        self.assertEqual(len(said(ClipQuery())), 2)
        self.assertIn("(lost)", said(ClipQuery(last=12))[0])
        self.assertEqual(said(ClipQuery(last=6)), [])
        self.assertEqual(len(said(ClipQuery(session.started_time_us + 2_000_000))), 1)
        for sequence in (7, 8, 9):
            ledger.append(session.session_id, an_arrival(session, sequence))
        rig.settle()
        self.assertEqual(len(said(ClipQuery())), 1)
