"""Tests of `vidlink.store.files.sound`: what was checked once is not checked again."""

from __future__ import annotations

import errno
import os
from zlib import crc32

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.samples import EPOCH_US
from vidlink.disk import Disk
from vidlink.errors import Damaged
from vidlink.store.files import sections, sound
from vidlink.store.files.sections import SegmentPlaces, StoredSection
from vidlink.store.files.sound import SoundParts
from vidlink.store.files.stored import StoredSession

#: Three segments.
PIECES = tuple(bytes((65 + number,)) * (40 + number) for number in range(3))
DATA = b"".join(PIECES)


class SoundCase(SynchronousTestCase):
    """A part of three segments that was written long ago."""

    def setUp(self) -> None:
        """The part, and what is known of it."""
        self.patch(sections, "AHEAD_BYTES", 0)
        self.disk = FaultyDisk()
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.write(DATA)
        self.sound = SoundParts(self.disk, lambda: EPOCH_US)
        self.places = SegmentPlaces()
        place = 0
        for piece in PIECES:
            self.places.add(0, place, len(piece), crc32(piece))
            place += len(piece)

    @property
    def path(self) -> str:
        """Where the part is."""
        return os.path.join(self.folder, "part-0000.mp4")

    def write(self, data: bytes, seconds_ago: float = 3_600) -> None:
        """Write the part, so long ago."""
        with open(self.path, "wb") as part:
            part.write(data)
        self.date(seconds_ago)

    def date(self, seconds_ago: float) -> None:
        """Say that it was changed so long ago."""
        time_ns = EPOCH_US * 1_000 - int(seconds_ago * 1e9)
        os.utime(self.path, ns=(time_ns, time_ns))

    def section(self, found: list[int] | None = None) -> StoredSection:
        """What a request reads from."""
        stored = StoredSession(self.disk, self.folder, self.sound)

        def found_damaged(damaged: object, wrong: object) -> None:
            if found is not None:
                found.extend(wrong)  # type: ignore[arg-type]

        return StoredSection(stored, self.places, 3, found_damaged=found_damaged)


class SoundTests(SoundCase):
    """What is at hand, and what is not any more."""

    def test_what_was_checked_is_at_hand(self) -> None:
        """What was read once is there again without a look at the disk; what was not is read."""
        section = self.section()
        self.assertIsNone(section.at_hand(10, 20))
        self.assertEqual(section.read(10, 20), DATA[10:30])
        again = self.section()
        self.disk.errors["read"] = errno.EIO
        self.assertEqual(again.at_hand(0, 40), DATA[:40])
        self.assertIsNone(again.at_hand(0, 41))
        self.disk.errors.clear()
        self.assertEqual(again.read(39, 84), DATA[39:])
        self.assertEqual(again.at_hand(39, 84), DATA[39:])

    def test_it_is_not_checked_again(self) -> None:
        """The CRC of a segment is looked at once for as long as the file is the same."""
        self.section().read(0, len(DATA))
        with open(self.path, "r+b") as part:
            part.seek(50)
            part.write(b"?")
        self.date(3_600)
        self.assertEqual(self.section().read(49, 3), b"B?B")

    def test_the_first_read_checks(self) -> None:
        """A damaged segment is given out by no read, first or later."""
        self.write(DATA[:50] + b"?" + DATA[51:])
        for _ in range(2):
            found: list[int] = []
            with self.assertRaises(Damaged):
                self.section(found).read(0, len(DATA))
            self.assertEqual(found, [1])
            self.assertIsNone(self.section().at_hand(45, 2))
        self.assertEqual(self.section().read(0, 40), DATA[:40])

    def test_what_follows_is_checked_too(self) -> None:
        """What lies behind that which is read first is checked with it, up to what is damaged, of
        which nobody is told before they ask for it."""
        self.patch(sections, "AHEAD_BYTES", 1_000)
        self.section().read(0, 1)
        self.assertEqual(self.section().at_hand(0, len(DATA)), DATA)
        self.write(DATA[:100] + b"?" + DATA[101:], 60)
        found: list[int] = []
        self.assertEqual(self.section(found).read(0, 1), DATA[:1])
        self.assertEqual((self.section().at_hand(0, 81), found), (DATA[:81], []))
        self.assertIsNone(self.section().at_hand(81, 1))
        with self.assertRaises(Damaged):
            self.section(found).read(90, 1)
        self.assertEqual(found, [2])

    def test_a_part_that_changes(self) -> None:
        """Of a file that is changed, replaced, or removed, everything is checked anew."""
        for change in (
            lambda: self.write(DATA[:50] + b"?" + DATA[51:], 60),
            lambda: os.truncate(self.path, 100),
            lambda: os.unlink(self.path),
        ):
            self.write(DATA)
            self.section().read(0, len(DATA))
            self.assertIsNotNone(self.section().at_hand(0, len(DATA)))
            change()
            self.assertIsNone(self.section().at_hand(0, len(DATA)))
            with self.assertRaises(Damaged):
                self.section().read(0, len(DATA))

    def grow(self, data: bytes) -> None:
        """Put more behind what is there, just now."""
        with open(self.path, "ab") as part:
            part.write(data)
        self.date(0)

    def test_a_part_that_grows(self) -> None:
        """Of a part that this server is writing to what was checked stays so as it grows, and what
        is new is checked; what else happens to it is a change."""
        self.sound.is_written = lambda path: path == self.path
        for size in (81, len(DATA)):
            self.sound.forget_all()
            self.write(DATA[:40], 0)
            self.section().read(0, 40)
            self.grow(DATA[40:size])
            self.assertEqual(self.section().at_hand(0, 40), DATA[:40])
            self.assertIsNone(self.section().at_hand(40, 1))
            self.assertEqual(self.section().read(0, 81), DATA[:81])
            self.assertEqual(self.section().at_hand(0, 81), DATA[:81])
        self.grow(b"more")
        self.date(1)
        self.assertIsNotNone(self.section().at_hand(0, 81))
        self.date(2)
        self.assertIsNone(self.section().at_hand(0, 81))
        self.section().read(0, 81)
        os.truncate(self.path, 90)
        self.assertIsNone(self.section().at_hand(0, 81))
        self.section().read(0, 81)
        self.sound.is_written = lambda path: False
        self.grow(b"foreign")
        self.assertIsNone(self.section().at_hand(0, 81))

    def test_another_file_in_its_place(self) -> None:
        """Who puts another file in the place of a part has that one read, and checked."""
        self.section().read(0, len(DATA))
        os.rename(self.path, self.path + "~")
        self.write(DATA[:50] + b"?" + DATA[51:])
        with self.assertRaises(Damaged):
            self.section().read(0, len(DATA))

    def test_a_part_that_was_just_changed(self) -> None:
        """Of a file that was changed a moment ago nothing is remembered: its time would not tell
        of another change in the same moment."""
        for seconds_ago, is_known in ((4, True), (2, False), (-10, False)):
            self.sound.forget_all()
            self.write(DATA, seconds_ago)
            self.section().read(0, len(DATA))
            self.assertEqual(self.section().at_hand(0, 9) is not None, is_known)

    def test_what_is_not_in_memory(self) -> None:
        """What the system would have to fetch from the disk is not at hand."""
        self.section().read(0, len(DATA))
        self.disk.is_cold = True
        self.assertIsNone(self.section().at_hand(0, 9))
        self.assertIsNone(self.section().stretch(0, 9))
        self.assertEqual(self.section().read(0, 9), DATA[:9])

    def test_stretches(self) -> None:
        """What was checked can be had as it lies in the file, as far as it lies there unbroken."""
        self.places = SegmentPlaces()
        for number in (0, 1, 2):
            size = len(PIECES[number])
            place = len(b"".join(PIECES[:number]))
            self.places.add(0, place + (number == 2), size, crc32(PIECES[number]))
        self.write(DATA[:81] + b"-" + DATA[81:])
        self.assertIsNone(self.section().stretch(10, 100))
        self.section().read(0, len(DATA))
        stretch = self.section().stretch(10, 100)
        assert stretch is not None, "it was checked"
        self.assertEqual((stretch.offset, stretch.size), (10, 71))
        self.assertEqual(os.pread(stretch.descriptor, 71, 10), DATA[10:81])
        behind = self.section().stretch(81, 42)
        assert behind is not None, "it was checked"
        self.assertEqual((behind.offset, behind.size), (82, 42))

    def test_what_is_deleted_gives_its_room_back(self) -> None:
        """A part whose session is deleted is not held open, nor opened anew for who reads on."""
        self.section().read(0, len(DATA))
        part = self.sound.at_hand(self.path, 0, 1)
        assert part is not None, "it was checked"
        os.unlink(self.path)
        self.sound.forget(self.folder)
        self.assertEqual(len(self.sound), 0)
        self.sound.found_sound(self.path, part, 0, 40)
        self.assertEqual(len(self.sound), 0)
        descriptor = part.descriptor
        del part
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_bounds(self) -> None:
        """So many parts are kept open, and so many stretches remembered; the oldest go."""
        self.sound.most_parts = 2
        for _ in range(3):
            self.folder = self.mktemp()
            os.mkdir(self.folder)
            self.write(DATA)
            self.section().read(0, len(DATA))
        self.assertEqual(len(self.sound), 2)
        self.patch(sound, "MOST_STRETCHES", 2)
        self.section().read(0, len(DATA))
        self.assertEqual(len(self.sound), 2)
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.write(DATA)
        self.section().read(0, 1)
        self.assertEqual(len(self.sound), 2)
        self.section().read(90, 1)
        self.assertEqual(len(self.sound), 1)
        self.patch(sound, "MOST_STRETCHES", 1)
        self.section().read(0, len(DATA))
        self.assertEqual(len(self.sound), 1)
        self.assertIsNotNone(self.section().at_hand(0, len(DATA)))


class RealDiskTests(SynchronousTestCase):
    """The same calls on a real file system."""

    def test_read_now(self) -> None:
        """A read that does not wait gives all that is asked for, or nothing."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(DATA)
        disk = Disk()
        descriptor = disk.open_for_reading(path)
        self.addCleanup(disk.close, descriptor)
        disk.pread(descriptor, 0, len(DATA))
        self.assertIn(disk.pread_now(descriptor, 3, 50), (DATA[3:53], None))
        self.assertIsNone(disk.pread_now(descriptor, 3, len(DATA)))
        self.assertFalse(disk.has_now(descriptor, len(DATA)))
        mark = disk.mark_of(descriptor)
        self.assertEqual(mark and mark.size_bytes, len(DATA))
        os.unlink(path)
        self.assertIsNone(disk.mark_of(descriptor))
