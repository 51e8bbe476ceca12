"""What every encoder promises.

An encoder's own tests subclass `EncoderContract` and `SynchronousTestCase`, in this order, and
say how to make one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from av import VideoFrame
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fmp4.media import decoded, grey
from vidlink.fmp4 import IDR, read_init, split_avc, unit_type, write_fragment
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.capture.roles import IEncoder

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object

SIZE = (128, 96)


class EncoderContract(_Case):
    """The promises."""

    def make(self, width: int, height: int) -> Any:
        """An encoder for pictures of this size, not larger than any bound of its own."""
        raise NotImplementedError

    def made(self) -> Any:
        """An encoder that is closed when the test is over."""
        encoder = self.make(*SIZE)
        self.addCleanup(encoder.close)
        return encoder

    def test_provides_the_role(self) -> None:
        """It has every member that the interface names."""
        self.assertTrue(verifyObject(IEncoder, self.made()))

    def test_initialization_segment(self) -> None:
        """The initialization segment is there from the start, says the size, and stays."""
        encoder = self.made()
        init = encoder.init
        media = read_init(init)
        self.assertEqual((media.width, media.height), SIZE)
        self.assertEqual(media.timescale, encoder.timescale)
        for number in range(5):
            encoder.encode(grey(number, *SIZE), number * encoder.timescale, number in (0, 3))
        self.assertEqual(encoder.init, init)

    def test_every_picture_at_once(self) -> None:
        """Each picture comes back from the call that took it, and all of them decode."""
        encoder = self.made()
        film, step = encoder.init, encoder.timescale // 5
        for number in range(10):
            sample = encoder.encode(grey(number, *SIZE), number * step, number == 0)
            self.assertTrue(split_avc(sample))
            film += write_fragment(
                sequence=number, decode_time=number * step, duration=step,
                keyframe=number == 0, data=sample,
            )  # fmt: skip
        shown = decoded(film)
        self.assertEqual([time for time, _ in shown], [n * step for n in range(10)])
        for number, (_, value) in enumerate(shown):
            self.assertApproximates(value, 20 + 10 * number, 3)

    def test_keyframes_when_told(self) -> None:
        """An IDR where one was asked for, and nowhere else, however the picture changes."""
        encoder = self.made()
        wanted = [number in (0, 4, 5) for number in range(9)]
        found = []
        for number, keyframe in enumerate(wanted):
            picture = grey(number * 7 % 20, *SIZE)
            sample = encoder.encode(picture, number * 18_000, keyframe)
            found.append(IDR in {unit_type(unit) for unit in split_avc(sample)})
        self.assertEqual(found, wanted)

    def test_other_sizes(self) -> None:
        """It knows which pictures it was opened for."""
        encoder = self.made()
        self.assertTrue(encoder.fits(VideoFrame(*SIZE, "bgr0")))
        self.assertFalse(encoder.fits(VideoFrame(SIZE[0] + 2, SIZE[1], "bgr0")))

    def test_closed_twice(self) -> None:
        """Closing what is closed does nothing."""
        encoder = self.made()
        encoder.encode(grey(0, *SIZE), 0, True)
        encoder.close()
        encoder.close()


class SoftwareEncoderTests(EncoderContract, SynchronousTestCase):
    """libx264."""

    def make(self, width: int, height: int) -> Any:
        """By name."""
        return EncoderSettings("libx264").open(width, height)


class AutomaticEncoderTests(EncoderContract, SynchronousTestCase):
    """Whatever this machine has."""

    def make(self, width: int, height: int) -> Any:
        """Chosen by itself."""
        return EncoderSettings().open(width, height)
