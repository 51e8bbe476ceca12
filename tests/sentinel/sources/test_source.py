"""Sources beyond their contract: which there are, and how they keep time."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.sentinel.films import FRAMES, film, number_of
from tests.sentinel.sources.barcodes import read_barcode
from vidlink.daemon import wall_clock_us
from vidlink.errors import CaptureError, UserMistake
from vidlink.sentinel.sources import device
from vidlink.sentinel.sources.choice import make_source
from vidlink.sentinel.sources.device import SLEEP_SECONDS, DeviceSource, Throttle
from vidlink.sentinel.sources.file import PATIENCE_SECONDS, FileSource
from vidlink.sentinel.sources.pattern import PatternSource
from vidlink.sentinel.sources.screen import ScreenSource

START = 1_000.0


def made(text: str, platform: str = "linux", **environ: str) -> Any:
    """What `--source` makes of `text`."""
    return make_source(
        text,
        sentinel_id="desk-12",
        platform=platform,
        environ=environ,
        wall_clock_us=wall_clock_us,
    )


class ChoiceTests(SynchronousTestCase):
    """`--source`."""

    def test_kinds(self) -> None:
        """Each kind of source by its name, the screen by platform."""
        self.assertIsInstance(made("screen", DISPLAY=":7"), ScreenSource)
        self.assertIsInstance(made("screen", "win32"), ScreenSource)
        self.assertIsInstance(made("screen", "darwin"), DeviceSource)
        self.assertIsInstance(made("test"), PatternSource)
        self.assertIsInstance(made("file:a:b.mp4"), FileSource)
        self.assertIsInstance(made("device:lavfi:testsrc2=rate=10"), DeviceSource)

    def test_size_of_the_test_picture(self) -> None:
        """1280x720 unless said otherwise."""
        for text, size in {"test": (1280, 720), "test:640x360": (640, 360)}.items():
            picture = made(text).grab(START)
            self.assertEqual((picture.width, picture.height), size)

    def refused(self, text: str, **environ: str) -> str:
        """The one line that is said of a source that cannot be used."""
        with self.assertRaises(UserMistake) as caught:
            made(text, **environ).open()
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_unknown(self) -> None:
        """What is no source is refused with those there are."""
        for text in (
            "",
            "Screen",
            "screen:1",
            "file:",
            "file",
            "device:v4l2",
            "device:",
            "nonsense:x",
        ):
            self.assertIn("screen, test", self.refused(text, DISPLAY=":7"))

    def test_bad_sizes(self) -> None:
        """Odd, tiny, giant and malformed sizes."""
        for size in (
            "641x360",
            "640x361",
            "64x64",
            "9000x720",
            "640",
            "640x",
            "\u0666\u0664\u0660x\u0663\u0666\u0660",
            "640x360 ",
        ):
            self.assertIn("size", self.refused(f"test:{size}"))

    def test_no_display(self) -> None:
        """Without a display there is no screen, and with a wrong one neither."""
        self.assertIn("DISPLAY", self.refused("screen"))
        self.assertIn("DISPLAY", self.refused("screen", DISPLAY=""))

    def test_wrong_display(self) -> None:
        """A display that does not answer is named."""
        if sys.platform != "linux":
            return
        self.assertIn("screen :4711", self.refused("screen", DISPLAY=":4711"))
        self.assertIn("X server", self.refused("screen", DISPLAY="nonsense"))

    def test_files(self) -> None:
        """No such file, a folder, and what is no video."""
        text = self.mktemp()
        with open(text, "w") as file:
            file.write("not a video\n" * 100)
        self.assertIn("no such file", self.refused(f"file:{self.mktemp()}"))
        self.assertIn("directory", self.refused("file:/"))
        self.assertIn(text, self.refused(f"file:{text}"))

    def test_no_picture_in_it(self) -> None:
        """A video without a single picture."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(film(0))
        self.assertIn("no picture", self.refused(f"file:{path}"))

    def test_devices(self) -> None:
        """No such format, no such device, nothing that FFmpeg understands, and no picture."""
        self.assertIn("'nonsense'", self.refused("device:nonsense:x"))
        self.assertIn("/dev/video99", self.refused("device:v4l2:/dev/video99"))
        self.assertIn("nosuchfilter", self.refused("device:lavfi:nosuchfilter"))
        self.assertIn("no video", self.refused("device:lavfi:sine"))
        self.assertIn("has ended", self.refused("device:lavfi:testsrc2=duration=0.1,select=0"))


class PatternSourceTests(SynchronousTestCase):
    """The test picture as a source."""

    def test_time_and_number(self) -> None:
        """The wall clock at the grab is burnt in, and the pictures are counted."""
        clock = iter((1_700_000_000_000_000, 1_700_000_000_200_000))
        source = PatternSource("desk-12", 128, 72, lambda: next(clock))
        found = []
        for now in (1.0, 2.0):
            luma = source.grab(now).planes[0]
            code = read_barcode(bytes(luma), 128, 72, luma.line_size)
            assert code is not None
            found.append((code.time_ms, code.number))
        self.assertEqual(found, [(1_700_000_000_000, 0), (1_700_000_000_200, 1)])


class FileSourceTests(SynchronousTestCase):
    """A file at its own throttle: the picture that is due."""

    def opened(self, data: bytes) -> FileSource:
        """A source of a file with these bytes."""
        self.path = self.mktemp()
        with open(self.path, "wb") as file:
            file.write(data)
        source = FileSource(self.path)
        source.open()
        self.addCleanup(source.close)
        return source

    def shown(self, source: FileSource, *times: float) -> list[int]:
        """Which pictures are shown so many seconds after the first."""
        return [number_of(source.grab(START + time)) for time in times]

    def test_own_pace(self) -> None:
        """Asked faster it repeats, asked slower it skips."""
        source = self.opened(film())
        self.assertEqual(
            self.shown(source, 0, 0.1, 0.19, 0.21, 0.4001, 1.05, 1.1, 2.01),
            [0, 0, 0, 1, 2, 5, 5, 10],
        )

    def test_first_picture_first(self) -> None:
        """However long after opening it is asked first, it begins with the first picture."""
        source = self.opened(film())
        self.assertEqual([number_of(source.grab(START + 500))], [0])
        self.assertEqual([number_of(source.grab(START + 500.41))], [2])

    def test_loop(self) -> None:
        """After the last picture, which is shown as long as the others, comes the first."""
        source = self.opened(film())
        length = FRAMES * 0.2
        self.assertEqual(
            self.shown(source, 0, length - 0.1, length + 0.1, length + 0.3, 2 * length + 0.5),
            [0, FRAMES - 1, 0, 1, 2],
        )

    def test_many_rounds(self) -> None:
        """Asked once in five seconds, a short film is where it would be after so many rounds."""
        source = self.opened(film(3))
        times = [5 * n + 0.1 for n in range(20)]
        wanted = [int(time / 0.2 + 1e-6) % 3 for time in (time - 0.1 for time in times)]
        self.assertEqual(self.shown(source, *times), wanted)

    def test_long_pause(self) -> None:
        """After a long pause it goes on where it was, instead of decoding what nobody saw."""
        source = self.opened(film())
        self.assertEqual(self.shown(source, 0, 0.41), [0, 2])
        later = 0.41 + PATIENCE_SECONDS + 100
        self.assertEqual(self.shown(source, later, later + 0.2), [2, 3])

    def test_still(self) -> None:
        """A single picture is shown for ever, without reading it over and over."""
        source = self.opened(film(1))
        os.remove(self.path)
        self.assertEqual(self.shown(source, 0, 1, 10, 11), [0, 0, 0, 0])

    def test_damage(self) -> None:
        """What is damaged in the middle is left out, and the rest is shown."""
        data = bytearray(film())
        place = data.rindex(b"mdat") + 8
        data[place : place + 12] = b"\xff" * 12
        source = self.opened(bytes(data))
        seen = self.shown(source, *(n / 10 for n in range(60)))
        self.assertTrue(set(range(FRAMES - 1)) <= set(seen))

    def test_gone_while_playing(self) -> None:
        """A file that is taken away is an error at the next round, not a crash."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(film(3))
        source = FileSource(path)
        source.open()
        self.addCleanup(source.close)
        source.grab(START)
        with open(path, "wb") as file:
            file.write(b"something else")
        with self.assertRaises(UserMistake):
            self.shown(source, 1, 2)


class ThrottleTests(SynchronousTestCase):
    """How fast an input is read."""

    def test_synthetic(self) -> None:
        """What gives pictures at once is held to the times they bear."""
        throttle, now = Throttle(), START
        for number in range(50):
            now += 0.001
            now += throttle.wait_seconds(number * 0.1, 0.001, now)
            self.assertApproximates(now - START, number * 0.1, 0.002)

    def test_device(self) -> None:
        """What blocks until it has a picture is never waited for, whatever its clock says."""
        for drift in (0.9, 1.0, 1.1):
            throttle, now = Throttle(), START
            for number in range(100):
                now += 0.04
                self.assertEqual(throttle.wait_seconds(number * 0.04 * drift, 0.04, now), 0.0)

    def test_backlog(self) -> None:
        """After a stall what has piled up is read without waiting."""
        throttle, now = Throttle(), START
        for number in range(10):
            now += 0.04
            throttle.wait_seconds(number * 0.04, 0.04, now)
        now += 0.5
        waits = [throttle.wait_seconds((10 + n) * 0.04, 0.0001, now) for n in range(10)]
        self.assertEqual(waits, [0.0] * 10)

    def test_jumps(self) -> None:
        """Times that jump do not stop it for long."""
        throttle = Throttle()
        throttle.wait_seconds(0.0, 0.001, START)
        self.assertLessEqual(throttle.wait_seconds(1_000_000.0, 0.001, START), 5.0)
        self.assertEqual(throttle.wait_seconds(3.0, 0.001, START + 1), 0.0)
        self.assertApproximates(throttle.wait_seconds(3.04, 0.001, START + 1), 0.04, 0.001)


class DeviceSourceTests(SynchronousTestCase):
    """What FFmpeg opens, beyond the contract."""

    def test_ended(self) -> None:
        """An input that ends is a loss, and can be opened again."""
        source = DeviceSource("lavfi", "testsrc2=size=64x48:rate=1000:duration=0.002")
        self.addCleanup(source.close)
        for _ in range(2):
            source.open()
            with self.assertRaises(CaptureError) as caught:
                for _ in range(1_000_000):
                    source.grab(START)
            self.assertIn("has ended", str(caught.exception))
            source.close()

    def test_asleep(self) -> None:
        """After a sleep of the computer a picture is given that was read since, however long it
        was: the newest of before is not of now."""
        slept = [0.0]
        source = DeviceSource(
            "lavfi", "testsrc2=size=64x48:rate=25", slept_seconds=lambda: slept[0]
        )
        self.addCleanup(source.close)
        source.open()
        for _ in range(3):
            before = source.grab(START).pts
            slept[0] += 3_600.0
            after = source.grab(START).pts
            assert before is not None
            assert after is not None
            self.assertGreater(after, before)
            slept[0] += SLEEP_SECONDS / 2
            self.assertGreaterEqual(source.grab(START).pts or 0, after)

    def test_silent_after_a_sleep(self) -> None:
        """An input that gives nothing any more after a sleep is waited for, and then a loss."""
        self.patch(device, "SILENCE_SECONDS", 0.05)
        slept = [0.0]
        source = DeviceSource(
            "lavfi", "testsrc2=size=64x48:rate=0.001", slept_seconds=lambda: slept[0]
        )
        self.addCleanup(source.close)
        source.open()
        source.grab(START)
        slept[0] += 3_600.0
        error = self.assertRaises(CaptureError, source.grab, START)
        self.assertIn("no picture within 0.05 s", str(error))

    def test_silent(self) -> None:
        """An input that gives nothing more is a loss after ten seconds."""
        now = [START]
        source = DeviceSource("lavfi", "testsrc2=size=64x48:rate=0.001", monotonic=lambda: now[0])
        self.addCleanup(source.close)
        source.open()
        source.grab(START)
        now[0] += 9
        source.grab(START)
        now[0] += 2
        with self.assertRaises(CaptureError) as caught:
            source.grab(START)
        self.assertIn("silent", str(caught.exception))
