"""Tests of what the next process finds, whatever was done to the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.sentinel.spool.rig import OTHER, SESSION, Rig, a_segment
from vidlink.sentinel.spool.layout import ENTRY_BYTES

INIT = media.init_segment()
SIZE = len(a_segment(0).data)


class RecoveryCase(SynchronousTestCase):
    """A spool with one session of some segments in it."""

    count, filler_bytes = 4, 0

    def setUp(self) -> None:
        """Make it, and kill its process."""
        self.rig = Rig(self.mktemp())
        self.rig.spool.begin(SESSION, INIT, True)
        self.append(*range(self.count))
        self.rig.settle()

    def append(self, *sequences: int) -> None:
        """Some segments more."""
        for sequence in sequences:
            self.rig.spool.append(a_segment(sequence, filler_bytes=self.filler_bytes))

    def with_bytes(self, path: Path, data: bytes) -> tuple[list[int], set[int]]:
        """What is held and what is lost if this is what the file has."""
        self.rig.kill()
        path.write_bytes(data)
        self.rig.start()
        return self.sound(), self.lost()

    def sound(self) -> list[int]:
        """What can be read, every octet of it as it was captured."""
        found = self.rig.read()
        for one in found:
            made = a_segment(one.sequence, filler_bytes=self.filler_bytes)
            self.assertEqual(one, replace(made, is_late=True))
        return [one.sequence for one in found]

    def lost(self) -> set[int]:
        """What is said to be lost."""
        return {n for a, b, _ in self.rig.dropped() for n in range(a, b + 1)}


class TailTests(RecoveryCase):
    """A process that was killed while it wrote."""

    def test_cut_anywhere(self) -> None:
        """Cut at any octet of the last entry, what stands before it is there, and goes on."""
        (path,) = self.rig.chunks()
        data = path.read_bytes()
        start = len(data) - ENTRY_BYTES - len(a_segment(3).data)
        for size in range(start, len(data)):
            held, lost = self.with_bytes(path, data[:size])
            self.assertEqual(held, [0, 1, 2], size)
            self.assertLessEqual(lost, {3})
        self.append(4)
        self.rig.settle()
        self.rig.again()
        self.assertEqual(self.rig.held(), [0, 1, 2, 4])
        self.assertEqual(self.rig.dropped(), [(3, 3, "damaged")])

    def test_flipped_anywhere(self) -> None:
        """A wrong octet anywhere in the last entry costs that entry alone."""
        (path,) = self.rig.chunks()
        data = path.read_bytes()
        start = len(data) - ENTRY_BYTES - len(a_segment(3).data)
        for place in range(start, len(data)):
            wrong = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
            held, lost = self.with_bytes(path, wrong)
            self.assertEqual(held, [0, 1, 2], place)
            self.assertLessEqual(lost, {3})

    def test_flipped_in_the_middle(self) -> None:
        """A wrong octet in an entry with others behind it costs it alone, and it is named."""
        (path,) = self.rig.chunks()
        data = path.read_bytes()
        sizes = [ENTRY_BYTES + len(a_segment(one).data) for one in range(self.count)]
        start = len(data) - sum(sizes[1:])
        for place in range(start, start + sizes[1]):
            wrong = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            held, lost = self.with_bytes(path, wrong)
            self.assertEqual((held, lost), ([0, 2, 3], {1}), place)
            self.assertEqual(self.rig.shown().newest, 3)

    def test_head(self) -> None:
        """A wrong octet in init or state costs no segment where another chunk has them too."""
        self.rig.again()
        self.append(4)
        self.rig.settle()
        first, second = self.rig.chunks()
        for path in (first, second):
            data = path.read_bytes()
            for place in range(0, data.index(b"VSP1\1"), 7):
                wrong = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                held, lost = self.with_bytes(path, wrong)
                self.assertEqual((held, lost), ([0, 1, 2, 3, 4], set()), place)
                self.assertEqual(self.rig.shown().init, INIT)
            self.rig.kill()
            path.write_bytes(data)
            self.rig.start()


class SealedTests(RecoveryCase):
    """Chunks that were ended in order, and are known by their index."""

    count, filler_bytes = 60, 10_000

    def setUp(self) -> None:
        """Segments in several chunks."""
        self.rig = Rig(self.mktemp(), most_bytes=16 * 64 * 1024)
        self.rig.spool.begin(SESSION, INIT, True)
        self.append(*range(self.count))
        self.rig.settle()
        self.rig.close()
        self.rig.start()
        self.assertGreater(len(self.rig.chunks()), 5)

    def test_quick(self) -> None:
        """They are found without reading them."""
        self.rig.kill()
        read: list[int] = []
        pread = self.rig.disk.pread

        def counting(descriptor: int, offset: int, size: int) -> bytes:
            data = pread(descriptor, offset, size)
            read.append(len(data))
            return data

        self.patch(self.rig.disk, "pread", counting)
        self.rig.start()
        self.assertLess(sum(read), 0.05 * self.rig.size_bytes())
        self.assertEqual((self.rig.shown().first, self.rig.shown().last), (0, 59))

    def test_flipped_anywhere(self) -> None:
        """One wrong octet, wherever it is, costs one segment at most, and it is named."""
        sizes = [path.stat().st_size for path in self.rig.chunks()]

        @settings(max_examples=150, deadline=None)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            number = data.draw(st.integers(0, len(sizes) - 1))
            place = data.draw(
                st.one_of(
                    st.integers(0, sizes[number] - 1),
                    st.integers(max(0, sizes[number] - 500), sizes[number] - 1),
                )
            )
            path = self.rig.chunks()[number]
            sound = path.read_bytes()
            wrong = sound[:place] + bytes([sound[place] ^ 2]) + sound[place + 1 :]
            self.with_bytes(path, wrong)
            held, lost = self.sound(), self.lost()
            self.assertLessEqual(len(lost), 1)
            self.assertEqual(set(held) | lost, set(range(60)))
            self.assertEqual(set(held) & lost, set())
            # What was noted about the damage is part of another history.
            self.rig.kill()
            for one in self.rig.chunks()[len(sizes) :]:
                one.unlink()
            path.write_bytes(sound)
            self.rig.start()
            self.assertEqual(self.rig.held(), list(range(60)))

        check()

    def test_chunk_gone(self) -> None:
        """Of a file that somebody removed the segments are named as lost, and those alone."""
        before = self.rig.held()
        self.rig.kill()
        self.rig.chunks()[2].unlink()
        self.rig.start()
        held = self.rig.held()
        ((first, last, cause),) = self.rig.dropped()
        self.assertEqual(cause, "damaged")
        self.assertEqual(sorted([*held, *range(first, last + 1)]), before)
        self.assertGreater(len(held), 45)

    def test_gone_while_open(self) -> None:
        """The same if it goes while the spool is in use: reading passes over it."""
        self.rig.chunks()[0].unlink()
        held = self.rig.held()
        ((first, last, _),) = self.rig.dropped()
        self.assertEqual([*range(first, last + 1), *held], list(range(60)))

    def test_acknowledged_chunks_go(self) -> None:
        """A chunk goes once everything in it is acknowledged, and none is written anew."""
        numbers = [path.name for path in self.rig.chunks()]
        self.rig.spool.forget(SESSION, 30)
        self.rig.settle()
        left = [path.name for path in self.rig.chunks()]
        self.assertLess(len(left), len(numbers) - 1)
        self.assertEqual(left[:-1], [name for name in numbers if name in left])
        self.rig.again()
        self.assertEqual(self.rig.held(), list(range(31, 60)))
        self.assertEqual(self.rig.dropped(), [])


class FoundTests(RecoveryCase):
    """What else may lie there."""

    def test_foreign_files(self) -> None:
        """Files that are not ours are left alone, wherever they are."""
        self.rig.kill()
        places = [
            Path(self.rig.folder) / "notes.txt",
            self.rig.place / "notes.txt",
            self.rig.place / "a-folder-of-somebody" / "x",
            self.rig.place / SESSION / "00000000.chunk.bak",
        ]
        for path in places:
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        self.rig.start()
        self.assertEqual(self.rig.held(), [0, 1, 2, 3])
        self.rig.spool.remove(SESSION)
        self.rig.settle()
        self.rig.again()
        self.assertEqual([one.session_id for one in self.rig.spool.sessions()], [])
        self.assertEqual([path for path in places[:3] if not path.exists()], [])

    def test_unreadable_session(self) -> None:
        """A session of which neither init nor state can be read is left alone, and said so."""
        (path,) = self.rig.chunks()
        self.rig.kill()
        path.write_bytes(bytes(path.stat().st_size))
        with capturedLogs() as events:
            self.rig.start()
        self.assertEqual(self.rig.spool.sessions(), ())
        self.assertTrue(path.exists())
        self.assertEqual(len(events), 1)

    def test_session_of_another(self) -> None:
        """Chunks in a folder of another name are no session."""
        self.rig.kill()
        (self.rig.place / SESSION).rename(self.rig.place / OTHER)
        self.rig.start()
        self.assertEqual(self.rig.spool.sessions(), ())
        self.assertTrue((self.rig.place / OTHER).exists())

    def test_removal_was_interrupted(self) -> None:
        """A session that was being removed when the process was killed does not come back."""
        self.rig.kill()
        (self.rig.place / SESSION).rename(self.rig.place / f"{SESSION}.gone")
        self.rig.start()
        self.assertEqual(self.rig.spool.sessions(), ())
        self.assertFalse((self.rig.place / f"{SESSION}.gone").exists())

    def test_many_lives(self) -> None:
        """Each process goes on where the one before stopped, whatever that had written."""
        for life in range(1, 6):
            self.rig.again()
            self.append(*range(4 * life, 4 * life + 4))
            self.rig.settle()
        self.rig.again()
        self.assertEqual(self.rig.held(), list(range(24)))
        self.assertEqual(self.rig.dropped(), [])

    def kept(self, more_bytes: int) -> Callable[[int, int], int]:
        """A power cut that leaves so much of what was not synced."""
        return lambda low, high: min(high, low + more_bytes)

    def test_power_cut(self) -> None:
        """What is older than a sync is there after a power cut, wherever it cuts what is not."""
        self.append(4, 5)
        self.rig.write()
        for place in range(0, 3 * (SIZE + ENTRY_BYTES), 11):
            copy = self.mktemp()
            self.rig.disk.after_power_cut(self.rig.folder, copy, self.kept(place))
            other = Rig(copy)
            self.assertEqual(other.held()[:4], [0, 1, 2, 3])
            other.kill()
