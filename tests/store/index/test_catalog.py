"""Tests of `vidlink.store.index.catalog`: a page of sessions costs what is on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import EPOCH_US, a_session
from vidlink.model import SessionQuery, SessionRecord, SessionState
from vidlink.store.files.layout import SessionFile
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.index.rows import SessionRows
from vidlink.store.reading.session_page import read_token, write_token

FEW, MANY = 500, 20_000
MINUTE_US = 60_000_000
LIMIT = 20
#: Every so many sessions there is one of the rare group.
RARE = 100


class CountingCatalog(Catalog):
    """Counts what SQLite does, in instructions of its virtual machine."""

    steps = 0

    def _step(self) -> int:
        self.steps += 1
        return 0

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The same, counted."""
        with super().connection() as connection:
            connection.set_progress_handler(self._step, 1)
            yield connection


def a_record(number: int) -> SessionRecord:
    """Session `number`: one begins every minute, and each lasts an hour."""
    session = replace(
        a_session(number, sentinel_id=f"desk-{number % 10}"),
        group="rare" if number % RARE == 0 else f"group-{number % 2}",
    )
    start_us = session.started_time_us
    end_us = start_us + 60 * MINUTE_US
    return SessionRecord(
        session=session,
        state=SessionState.SEALED,
        ended_time_us=end_us,
        end_reason="over",
        segment_count=100,
        size_bytes=100,
        first_sequence=0,
        last_sequence=99,
        start_time_us=start_us - MINUTE_US,
        end_time_us=end_us,
    )


def page_of(catalog: Catalog, query: SessionQuery) -> list[SessionRecord]:
    """What `query` asks for, and one more."""
    below = None if query.after is None else read_token(query.after)
    return catalog.sessions(query, below, (), LIMIT + 1)


class ConstantCostTests(SynchronousTestCase):
    """Pages of few and of many sessions."""

    def catalog(self, count: int) -> CountingCatalog:
        """A database of so many sessions."""
        folder = self.mktemp()
        os.mkdir(folder)
        index = Index(os.path.join(folder, "index.sqlite3"), "uuid", "OFF")
        index.open()
        records = [a_record(number) for number in range(count)]
        index.save(
            SessionRows(SessionFile(replace(record.session, init=b""), 24, 0), record, None)
            for record in records
        )
        index.close()
        catalog = CountingCatalog(index.path)
        self.addCleanup(catalog.close)
        return catalog

    def queries(self, count: int) -> dict[str, SessionQuery]:
        """Pages at the front, in the middle and at the end of so many sessions."""
        middle = count // 2
        middle_us = EPOCH_US + middle * MINUTE_US
        places = {
            "first": None,
            "middle": write_token(a_record(middle)),
            "last": write_token(a_record(RARE * 2)),
        }
        found: dict[str, SessionQuery] = {}
        for place, after in places.items():
            query = SessionQuery(after=after, limit=LIMIT)
            found[place] = query
            found[f"{place} of a sentinel"] = replace(query, sentinel_id="desk-0")
            found[f"{place} of a group"] = replace(query, group="rare")
            found[f"{place} of both"] = replace(query, sentinel_id="desk-0", group="rare")
        for of, narrow in (
            ("all", SessionQuery(limit=LIMIT)),
            ("a group", SessionQuery(group="group-1", limit=LIMIT)),
            ("a rare group", SessionQuery(group="rare", limit=LIMIT)),
            ("a sentinel", SessionQuery(sentinel_id="desk-0", limit=LIMIT)),
        ):
            found[f"an hour of {of}"] = replace(
                narrow, from_time_us=middle_us, to_time_us=middle_us + 60 * MINUTE_US
            )
            found[f"until then of {of}"] = replace(narrow, to_time_us=middle_us)
            found[f"from then of {of}"] = replace(narrow, from_time_us=middle_us)
            found[f"before all of {of}"] = replace(narrow, to_time_us=EPOCH_US - 60 * MINUTE_US)
            found[f"after all of {of}"] = replace(
                narrow, from_time_us=EPOCH_US + (count + 120) * MINUTE_US
            )
        return found

    def test_constant(self) -> None:
        """Whichever page is asked for, of twenty thousand sessions it costs what it costs of five
        hundred: no filter is a search through what does not match."""
        few, many = self.catalog(FEW), self.catalog(MANY)
        asked = self.queries(FEW)
        for name, query in self.queries(MANY).items():
            few.steps = many.steps = 0
            small = page_of(few, asked[name])
            large = page_of(many, query)
            # What is found costs some 35 instructions a session; to get there, the same for all.
            self.assertLess(many.steps, 500 + 60 * len(large), name)
            if len(small) == len(large):
                self.assertLess(many.steps, 1.1 * few.steps, name)
            self.assertEqual(bool(large), not name.startswith(("before", "after")), name)
