"""Tests of `vidlink.httpjson.table`: writing and reading by one table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vidlink import model
from vidlink.httpjson import objects
from vidlink.wire.kinds import Misfit

DUE = model.Due(
    model.Candidate("desk-1", "s" * 16, model.SessionState.ENDED, 5, 1_000),
    model.DeletionReason.AGE,
)
RETENTION = model.Retention(
    policy=model.Policy(max_age_us=90_000_000, min_free_bytes=7, is_rehearsal=True),
    totals=model.Totals(sessions=3, bytes=2_000, held_sessions=1, held_bytes=500),
    free_bytes=10**12,
    due=(DUE,),
    is_more=False,
)
RECEIPT = model.Receipt(
    number=None,
    deleted_time_us=None,
    reason=model.DeletionReason.ASKED,
    by="127.0.0.1",
    sentinel_id="desk-1",
    session_id="s" * 16,
    name="",
    group="",
    started_time_us=1,
    ended_time_us=None,
    end_reason="",
    start_time_us=None,
    end_time_us=None,
    first_sequence=None,
    last_sequence=None,
    segment_count=0,
    size_bytes=0,
    lost=(("disk-full", 3), ("missing", 1)),
    parts=0,
    records_sha256="0" * 64,
)


class TableTests(SynchronousTestCase):
    """An object of JSON and the value that it stands for."""

    def test_what_is_written_is_read(self) -> None:
        """Values within values, lists, words and what is null come back as they were."""
        held = objects.SessionHold("desk-1", "s" * 16, model.Hold("exam", 9))
        values: list[tuple[Any, Any]] = [
            (objects.DUE, DUE),
            (objects.RETENTION, RETENTION),
            (objects.RETENTION, replace(RETENTION, policy=model.KEEP_ALL, due=())),
            (objects.RECEIPT, RECEIPT),
            (objects.SESSION_HOLD, held),
            (objects.SESSION_HOLD, replace(held, hold=None)),
            (objects.FRAMERATE_ASKED, objects.FramerateAsked("desk-1", 2_500)),
        ]
        for table, value in values:
            self.assertEqual(table.load(table.dump(value)), value)

    def test_waiting(self) -> None:
        """What waits is read as it was written, in whole seconds; a server that is too old to say
        so has nothing that waits."""
        waiting = model.Waiting(model.WaitReason.CLOCK, "the clock is wrong", None)
        value = replace(RETENTION, waiting=(waiting, replace(waiting, seconds=7)))
        plain = objects.RETENTION.dump(value)
        self.assertEqual(objects.RETENTION.load(plain), value)
        del plain["waiting"]
        self.assertEqual(objects.RETENTION.load(plain), RETENTION)
        plain = objects.RETENTION.dump(replace(value, waiting=(replace(waiting, seconds=0.2),)))
        self.assertEqual(plain["waiting"][0]["seconds"], 1)

    def test_units(self) -> None:
        """Ages are written in whole seconds, rates in frames a second."""
        self.assertEqual(objects.RETENTION.dump(RETENTION)["retainSeconds"], 90)
        asked = [objects.FramerateAsked("desk-1", rate) for rate in (2_500, 5_000)]
        rates = [objects.FRAMERATE_ASKED.dump(one)["framerate"] for one in asked]
        self.assertEqual(repr(rates), "[2.5, 5]")

    def test_misfits_name_the_way_to_the_field(self) -> None:
        """Whoever reads a refusal knows which field of which list is meant."""
        plain = objects.RETENTION.dump(RETENTION)
        plain["due"][0]["reason"] = "boredom"
        misfit = self.assertRaises(Misfit, objects.RETENTION.load, plain)
        self.assertEqual(misfit.path, "due.reason")
        del plain["due"]
        misfit = self.assertRaises(Misfit, objects.RETENTION.load, plain)
        self.assertEqual(str(misfit), "due must be a list, not absent")
        self.assertRaises(Misfit, objects.RETENTION.load, [plain])

    def test_long_lists(self) -> None:
        """A list that no server of ours would send is refused before it is gone through."""
        plain = {"sentinels": [None] * 100_001, "next": None}
        misfit = self.assertRaises(Misfit, objects.SENTINELS.load, plain)
        self.assertEqual(misfit.path, "sentinels")
