"""The encoder beyond its contract, and how one is chosen."""

from __future__ import annotations

import random

from av import VideoFrame
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import frames_of, grey
from vidlink.errors import CaptureError, UserMistake
from vidlink.fmp4 import IDR, PARAMETER_SETS, read_init, split_avc, unit_type, write_fragment
from vidlink.sentinel.capture.encoder import TIMESCALE, H264Encoder, fitted, sample_of
from vidlink.sentinel.capture.encoders import EncoderSettings

SIDES = st.integers(2, 10_000)
X264 = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}


def noise(width: int, height: int, seed: int) -> VideoFrame:
    """The hardest picture there is."""
    picture = VideoFrame(width, height, "yuv420p")
    luma = picture.planes[0]
    luma.update(random.Random(seed).randbytes(luma.buffer_size))
    return picture


def kinds(sample: bytes) -> list[int]:
    """The types of the NAL units of a sample."""
    return [unit_type(unit) for unit in split_avc(sample)]


class FittedTests(SynchronousTestCase):
    """The size to encode in."""

    @given(SIDES, SIDES, SIDES, SIDES)
    def test_any_size(self, width: int, height: int, max_width: int, max_height: int) -> None:
        """Even, within the bounds, never larger, and of the same aspect as far as that goes."""
        found = fitted(width, height, max_width, max_height)
        self.assertTrue(all(side % 2 == 0 and side >= 2 for side in found))
        self.assertLessEqual(found[0], min(width, max_width))
        self.assertLessEqual(found[1], min(height, max_height))
        scale = min(1, max_width / width, max_height / height)
        for side, source in zip(found, (width, height), strict=True):
            self.assertLess(abs(side - source * scale), 2.001)

    def test_examples(self) -> None:
        """Screens as they are."""
        for source, wanted in {
            (1920, 1080): (1920, 1080),
            (3840, 2160): (1920, 1080),
            (2560, 1600): (1728, 1080),
            (1080, 1920): (606, 1080),
            (3840, 1080): (1920, 540),
            (1366, 768): (1366, 768),
            (1367, 769): (1366, 768),
            (640, 480): (640, 480),
        }.items():
            self.assertEqual(fitted(*source, 1920, 1080), wanted)


class EncodingTests(SynchronousTestCase):
    """What comes out."""

    def made(self, width: int, height: int, **settings: int) -> H264Encoder:
        """A software encoder that is closed when the test is over."""
        encoder = EncoderSettings("libx264", **settings).open(width, height)
        self.addCleanup(encoder.close)
        return encoder

    def test_scaled_down(self) -> None:
        """Pictures larger than the bound come out smaller, smaller ones as they are."""
        for source, wanted in {(640, 480): (160, 120), (128, 96): (128, 96)}.items():
            media = read_init(self.made(*source, max_width=160, max_height=160).init)
            self.assertEqual((media.width, media.height), wanted)

    def test_odd_size(self) -> None:
        """A screen of odd width and height is shown as well."""
        encoder = self.made(131, 97)
        film = encoder.init + write_fragment(
            sequence=0, decode_time=0, duration=1, keyframe=True,
            data=encoder.encode(VideoFrame(131, 97, "bgr0"), 0, True),
        )  # fmt: skip
        (picture,) = frames_of(film)
        self.assertEqual((picture.width, picture.height), (130, 96))

    def test_colours(self) -> None:
        """Colours arrive as they were, and are labelled, so that a browser need not guess."""
        for name, pixel in {
            "red": b"\0\0\xff\0",
            "green": b"\0\xff\0\0",
            "sky": b"\xf0\xa0\x40\0",
        }.items():
            screen = VideoFrame(64, 64, "bgr0")
            screen.planes[0].update(pixel * (64 * 64))
            encoder = self.made(64, 64)
            film = encoder.init + write_fragment(
                sequence=0, decode_time=0, duration=1, keyframe=True,
                data=encoder.encode(screen, 0, True),
            )  # fmt: skip
            (picture,) = frames_of(film)
            self.assertEqual((picture.colorspace, picture.color_range), (1, 1))
            shown = bytes(picture.reformat(format="bgr0").planes[0])[:3]
            for found, wanted in zip(shown, pixel[:3], strict=True):
                self.assertApproximates(found, wanted, 6, name)

    def test_rate_changes(self) -> None:
        """From 0.2 to 5 frames a second and back, the init stays, and everything decodes."""
        encoder = self.made(64, 48)
        init = film = encoder.init
        times: list[int] = []
        time = 0
        for step_ms in (5000, 5000, 5000, 200, 200, 200, 200, 5000, 5000, 200):
            number = len(times)
            sample = encoder.encode(grey(number, 64, 48), time, number in (0, 3, 7, 9))
            film += write_fragment(
                sequence=number, decode_time=time, duration=step_ms * 90,
                keyframe=number in (0, 3, 7, 9), data=sample,
            )  # fmt: skip
            times.append(time)
            time += step_ms * 90
        self.assertEqual(encoder.init, init)
        pictures = frames_of(film)
        self.assertEqual([picture.pts for picture in pictures], times)
        for number, picture in enumerate(pictures):
            self.assertApproximates(bytes(picture.planes[0])[0], 20 + 10 * number, 3)

    def test_no_thinner_than_allowed(self) -> None:
        """Noise is held to the bit rate, over some seconds of five frames each."""
        encoder = self.made(320, 240, bits_per_second=300_000)
        sizes = [len(encoder.encode(noise(320, 240, n), n * 18_000, n == 0)) for n in range(60)]
        self.assertLess(sum(sizes[10:]) * 8, 10 * 300_000 * 1.3)
        self.assertLess(max(sizes) * 8, 2 * 300_000 * 1.3)

    def test_parameter_sets_stay_in_the_init(self) -> None:
        """Samples hold no parameter sets, even of an encoder that repeats them."""
        options = X264 | {"x264-params": "repeat-headers=1:aud=1"}
        encoder = H264Encoder("libx264", options, "yuv420p", (64, 48), (64, 48))
        self.addCleanup(encoder.close)
        for number in range(4):
            found = kinds(encoder.encode(grey(number, 64, 48), number, number in (0, 2)))
            self.assertTrue(PARAMETER_SETS.isdisjoint(found))
            self.assertNotIn(9, found)

    def test_types_of_decoded_pictures(self) -> None:
        """The type that a picture was decoded as does not become its type here."""
        encoder = self.made(64, 48)
        for number, kind in enumerate((PictureType.I, PictureType.P, PictureType.B, PictureType.I)):
            picture = grey(number, 64, 48)
            # Labelled as what the encoder takes, it is not copied on the way.
            picture.colorspace = picture.color_range = 1
            picture.pict_type = kind
            sample = encoder.encode(picture, number, number == 0)
            self.assertEqual(IDR in kinds(sample), number == 0)


class MisbehaviourTests(SynchronousTestCase):
    """Encoders that are of no use to us are found out."""

    def test_late(self) -> None:
        """One that holds frames back."""
        encoder = H264Encoder("libx264", {"preset": "medium"}, "yuv420p", (64, 48), (64, 48))
        self.addCleanup(encoder.close)
        with self.assertRaises(CaptureError) as caught:
            encoder.encode(grey(0, 64, 48), 0, True)
        self.assertIn("0 packets", str(caught.exception))

    def test_no_keyframes(self) -> None:
        """One that does not make a keyframe when told to."""
        for units in ([b"\x61slice"], [b"\x06message"], []):
            with self.assertRaises(CaptureError):
                sample_of(units, b"", True)
        self.assertTrue(sample_of([b"\x61slice"], b"", False))
        self.assertTrue(sample_of([b"\x65slice"], b"", True))

    def test_other_parameters(self) -> None:
        """One whose parameter sets are not those of its initialization segment."""
        units = [b"\x67one", b"\x68two", b"\x65slice"]
        self.assertEqual(sample_of(units, b"..\x67one..\x68two", True), b"\0\0\0\6\x65slice")
        with self.assertRaises(CaptureError):
            sample_of(units, b"..\x67one..\x68six", True)

    def test_cannot_be_opened(self) -> None:
        """One that does not open."""
        for name, options in (("h264_nvenc", {}), ("nonsense", {}), ("libx264", {"preset": "x"})):
            with self.assertRaises(CaptureError):
                H264Encoder(name, options, "yuv420p", (64, 48), (64, 48))


class ChoiceTests(SynchronousTestCase):
    """`--encoder`."""

    def test_usable(self) -> None:
        """Software by name, and whatever there is, pass the check."""
        EncoderSettings("libx264").check()
        EncoderSettings("auto").check()

    def test_unusable(self) -> None:
        """What is no encoder of H.264, or not on this machine, is refused with what there is."""
        for name in ("nonsense", "mpeg4", "h264", "libx264rgb", "h264_vaapi", ""):
            with self.assertRaises(UserMistake) as caught:
                EncoderSettings(name).check()
            text = str(caught.exception)
            self.assertIn(repr(name), text)
            self.assertIn("auto, libx264", text)
            self.assertNotIn("\n", text)

    def test_timescale(self) -> None:
        """The initialization segment has the timescale that everybody else counts in."""
        encoder = EncoderSettings("libx264").open(64, 48)
        self.addCleanup(encoder.close)
        self.assertEqual(read_init(encoder.init).timescale, TIMESCALE)
