"""Tests of what is fuzzed: that valid inputs are valid, and that a finding is found."""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import targets
from tests.fuzz.targets import TARGETS, Finding, within_bounds
from vidlink.errors import BadMessage, NotMedia
from vidlink.fmp4 import read_movie
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.schema import from_plain

SEEDS = {name: list(target.seeds()) for name, target in TARGETS.items()}


class TargetTests(SynchronousTestCase):
    """Every target, without a search."""

    def test_seeds(self) -> None:
        """There are valid inputs to begin with, and none of them is a finding."""
        for name, seeds in SEEDS.items():
            with self.subTest(target=name):
                self.assertGreater(len(set(seeds)), 10)
                for seed in seeds:
                    TARGETS[name].take(seed)

    @settings(max_examples=200)
    @given(st.sampled_from(sorted(TARGETS)), st.data())
    def test_near_seeds(self, name: str, data: st.DataObject) -> None:
        """Nothing that is a few octets away from a valid input is a finding."""
        seed = data.draw(st.sampled_from(SEEDS[name]))
        place = data.draw(st.integers(0, len(seed)))
        piece = data.draw(st.binary(max_size=8) | st.sampled_from(TARGETS[name].words))
        gone = data.draw(st.integers(0, 8))
        TARGETS[name].take(seed[:place] + piece + seed[place + gone :])

    def test_films_are_read(self) -> None:
        """Heads of films are among the boxes: their tables are fuzzed too."""
        counts = []
        for seed in SEEDS["boxes"]:
            try:
                counts.append(len(read_movie(seed).samples.sizes))
            except NotMedia:
                continue
        self.assertEqual([count for count in counts if count], [1, 7, 3])


class FindingTests(SynchronousTestCase):
    """What counts as a finding."""

    def broken(self, decode: Callable[..., object]) -> None:
        """Take an input with a codec that is broken so."""
        with mock.patch.object(BinaryCodec, "decode", decode):
            TARGETS["binary"].take(SEEDS["binary"][0])

    def test_errors(self) -> None:
        """A typed error is an answer, any other is none, and neither is one that is long."""

        def refuse(error: Exception) -> Callable[..., object]:
            def decode(*_: object) -> object:
                raise error

            return decode

        self.broken(refuse(BadMessage("too short")))
        self.assertRaises(IndexError, self.broken, refuse(IndexError()))
        self.assertRaises(Finding, self.broken, refuse(BadMessage("x" * 1_000)))

    def test_another_message(self) -> None:
        """A message that is not the same once more is a finding."""
        told = iter(range(99))

        def decode(*_: object) -> object:
            return from_plain({"type": "keyframe.request", "sentinelId": f"desk-{next(told)}"})

        self.assertRaises(Finding, self.broken, decode)

    def test_costs(self) -> None:
        """More than a second or 100 MB for 1 MiB is a finding, and so is its share for less."""
        mebibyte = 1024 * 1024
        for size, seconds, memory_bytes, is_finding in (
            (mebibyte, 1.0, 100 * mebibyte, False),
            (mebibyte, 1.4, 0, True),
            (mebibyte, 0.0, 110 * mebibyte, True),
            (64, 0.2, 4 * mebibyte, False),
            (64, 0.4, 0, True),
            (64, 0.0, 10 * mebibyte, True),
        ):
            with self.subTest(size=size, seconds=seconds, memory_bytes=memory_bytes):
                self.patch(time, "process_time", iter((5.0, 5.0 + seconds)).__next__)
                peaks = iter((mebibyte, mebibyte + memory_bytes)).__next__
                self.patch(targets, "_peak_bytes", peaks)
                try:
                    with within_bounds(size):
                        pass
                except Finding:
                    self.assertTrue(is_finding)
                else:
                    self.assertFalse(is_finding)
