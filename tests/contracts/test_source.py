"""What every source of pictures promises.

A source's own tests subclass `SourceContract` and `SynchronousTestCase`, in this order, and say
how to make one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from av import VideoFrame
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.sentinel.films import film
from vidlink.errors import UserMistake, VidlinkError
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.device import DeviceSource
from vidlink.sentinel.sources.file import FileSource
from vidlink.sentinel.sources.pattern import PatternSource

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object


class SourceContract(_Case):
    """The promises."""

    def make(self) -> Any:
        """A source that can be opened."""
        raise NotImplementedError

    def make_broken(self) -> Any:
        """A source that cannot be opened; None for a kind that always can."""
        return None

    def made(self) -> Any:
        """A source that is closed when the test is over."""
        source = self.make()
        self.addCleanup(source.close)
        return source

    def test_provides_the_role(self) -> None:
        """It has every member that the interface names."""
        self.assertTrue(verifyObject(ISource, self.made()))

    def test_gives_pictures(self) -> None:
        """Opened, it gives a picture whenever it is asked, of one size."""
        source = self.made()
        source.open()
        pictures = [source.grab(now) for now in (100.0, 100.2, 100.4, 105.4)]
        self.assertTrue(all(isinstance(picture, VideoFrame) for picture in pictures))
        self.assertEqual(len({(picture.width, picture.height) for picture in pictures}), 1)
        self.assertGreater(pictures[0].width, 0)

    def test_opened_twice(self) -> None:
        """Opening what is open changes nothing."""
        source = self.made()
        source.open()
        source.grab(1.0)
        source.open()
        source.grab(1.2)

    def test_closed_early_and_twice(self) -> None:
        """It may be closed before it was opened, and again after."""
        source = self.made()
        source.close()
        source.open()
        source.close()
        source.close()

    def test_opened_again(self) -> None:
        """Closed and opened again, it gives pictures again."""
        source = self.made()
        for _ in range(2):
            source.open()
            self.assertIsInstance(source.grab(1.0), VideoFrame)
            source.close()

    def test_cannot_be_opened(self) -> None:
        """What cannot be opened says so in one line, and can be closed and tried again."""
        source = self.make_broken()
        if source is None:
            return
        for _ in range(2):
            with self.assertRaises(UserMistake) as caught:
                source.open()
            self.assertNotIn("\n", str(caught.exception))
            with self.assertRaises(VidlinkError):
                source.grab(1.0)
            source.close()


class PatternSourceTests(SourceContract, SynchronousTestCase):
    """The test picture."""

    def make(self) -> PatternSource:
        """A small one."""
        return PatternSource("desk-12", 128, 72, lambda: 1_700_000_000_000_000)


class FileSourceTests(SourceContract, SynchronousTestCase):
    """A file."""

    def make(self) -> FileSource:
        """A short film."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(film())
        return FileSource(path)

    def make_broken(self) -> FileSource:
        """A file that is not there."""
        return FileSource(self.mktemp())


class DeviceSourceTests(SourceContract, SynchronousTestCase):
    """FFmpeg's synthetic device."""

    def make(self) -> DeviceSource:
        """Small pictures."""
        return DeviceSource("lavfi", "testsrc2=size=128x72:rate=25")

    def make_broken(self) -> DeviceSource:
        """A device that is not there."""
        return DeviceSource("v4l2", self.mktemp())
