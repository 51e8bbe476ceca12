"""Tests of what is done in the reactor's thread for an answer: nothing that grows with a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, execute

from tests.fakes.store import MemoryStore
from tests.server.api.histories import DESK_PATH, GATE_PATH, NOW_US, POLICY, HistoryCase
from vidlink.model import SegmentPage, SegmentQuery, SessionPage, SessionQuery, SessionRecord

T = TypeVar("T")


class PoolTests(HistoryCase):
    """A history whose lists may be looked through in the pool alone."""

    is_in_pool = False

    def setUp(self) -> None:
        """The usual history, and a pool of which is known when it works."""
        super().setUp()
        self.walks = 0
        archive = WatchedArchive(self)
        vars(archive).update(vars(self.store))
        self.serve(archive, run_in_pool=self.run_in_pool)

    def run_in_pool(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do the work now, as if in another thread."""
        self.is_in_pool = True
        try:
            return execute(work, *arguments)
        finally:
            self.is_in_pool = False

    def watched(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """`values`, which fail the test if they are gone through outside of the pool."""
        return cast("tuple[T, ...]", Watched(self, values))

    def test_lists(self) -> None:
        """Lists of sentinels, sessions, segments, spans and gaps are put together and made text
        of in the pool; the reactor's thread only passes them on."""
        for path in (
            "/api/v1/sentinels",
            "/api/v1/sessions",
            DESK_PATH,
            GATE_PATH,
            f"{GATE_PATH}/segments",
        ):
            with self.subTest(path):
                self.walks = 0
                self.assertEqual(self.ask(path).status, 200)
                self.assertGreater(self.walks, 0)

    def test_init(self) -> None:
        """The initialization segment is answered without a look at spans and gaps."""
        self.assertEqual(self.ask(f"{GATE_PATH}/init.mp4").status, 200)
        self.assertEqual(self.walks, 0)


class Watched(tuple[Any, ...]):
    """Values that may be gone through in the pool alone."""

    case: PoolTests

    def __new__(cls, case: PoolTests, values: tuple[Any, ...]) -> Watched:
        """Watch `values` for a test."""
        made = super().__new__(cls, values)
        made.case = case
        return made

    def __iter__(self) -> Iterator[Any]:
        """Go through them."""
        if not self.case.is_in_pool:
            raise AssertionError("a list is gone through in the reactor's thread")
        self.case.walks += 1
        return super().__iter__()


class WatchedArchive(MemoryStore):
    """Gives the lists of the usual history as ones that are watched."""

    def __init__(self, case: PoolTests) -> None:
        super().__init__(wall_clock_us=lambda: NOW_US, policy=POLICY)
        self.case = case

    def sentinels(self) -> Deferred[Any]:
        """Every Sentinel ever recorded."""
        return super().sentinels().addCallback(self.case.watched)

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions."""

        def watch(page: SessionPage) -> SessionPage:
            return replace(page, sessions=self.case.watched(page.sessions))

        return super().sessions(query).addCallback(watch)

    def session(self, sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session."""

        def watch(found: SessionRecord) -> SessionRecord:
            spans, gaps = self.case.watched(found.spans), self.case.watched(found.gaps)
            return replace(found, spans=spans, gaps=gaps)

        return super().session(sentinel_id, session_id).addCallback(watch)

    def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> Deferred[SegmentPage]:
        """One page of segments."""

        def watch(page: SegmentPage) -> SegmentPage:
            segments, gaps = self.case.watched(page.segments), self.case.watched(page.gaps)
            return replace(page, segments=segments, gaps=gaps)

        return super().segments(sentinel_id, session_id, query).addCallback(watch)
