"""The test picture and its bar code."""

from __future__ import annotations

import re
from random import Random

from av import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import frames_of
from tests.sentinel.sources.barcodes import crc16, read_barcode
from vidlink.fmp4 import write_fragment
from vidlink.model import SENTINEL_ID
from vidlink.sentinel.capture.encoder import TIMESCALE
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.sources import glyphs
from vidlink.sentinel.sources.picture import Barcode, PatternPicture

NOW_US = 1_767_225_600_123_456


def read(picture: VideoFrame) -> Barcode | None:
    """The bar code of a picture."""
    luma = picture.planes[0]
    return read_barcode(bytes(luma), picture.width, picture.height, luma.line_size)


def read_as_documented(picture: VideoFrame) -> tuple[int, int] | None:
    """Read a bar code from red, green and blue, as a page does from a canvas."""
    rgb = picture.reformat(format="rgb24")
    data, stride = bytes(rgb.planes[0]), rgb.planes[0].line_size
    cell_width, cell_height = rgb.width / 32, rgb.height / 24
    bits = ""
    for row in range(3):
        for column in range(32):
            samples = [
                value
                for y in range(
                    int((21 + row + 0.25) * cell_height), int((21 + row + 0.75) * cell_height)
                )
                for x in range(int((column + 0.25) * cell_width), int((column + 0.75) * cell_width))
                for value in data[y * stride + 3 * x : y * stride + 3 * x + 3]
            ]
            bits += "1" if sum(samples) / len(samples) > 127 else "0"
    payload, check = int(bits[8:80], 2), int(bits[80:], 2)
    if bits[:8] != "10110010" or crc16(payload.to_bytes(9, "big")) != check:
        return None
    return payload >> 24, payload & 0xFFFFFF


class BarcodeTests(SynchronousTestCase):
    """What is burnt in can be read again."""

    def test_check_sum(self) -> None:
        """The check sum is the one documented: its value for "123456789" is well known."""
        self.assertEqual(crc16(b"123456789"), 0x29B1)

    @settings(max_examples=40)
    @given(
        width=st.integers(64, 400).map(lambda half: 2 * half),
        height=st.integers(36, 200).map(lambda half: 2 * half),
        time_ms=st.integers(0, 4_000_000_000_000),
        number=st.integers(0, 2**24 - 1),
    )
    def test_round_trip(self, width: int, height: int, time_ms: int, number: int) -> None:
        """Whatever the size, time and number are read back."""
        picture = PatternPicture("desk-12", width, height).draw(time_ms * 1000 + 999, number)
        self.assertEqual(read(picture), Barcode(time_ms, number))

    def test_as_documented(self) -> None:
        """A reader written from the documentation alone reads the same from RGB."""
        picture = PatternPicture("desk-12", 640, 360).draw(NOW_US, 77)
        self.assertEqual(read_as_documented(picture), (NOW_US // 1000, 77))

    def test_numbers_wrap(self) -> None:
        """The number counts modulo 2^24."""
        picture = PatternPicture("desk-12", 128, 72).draw(NOW_US, 2**24 + 5)
        self.assertEqual(read(picture), Barcode(NOW_US // 1000, 5))

    def test_after_encoding_and_scaling(self) -> None:
        """It survives H.264 at a starved bit rate, and scaling down to 160 x 90."""
        for max_width, bits_per_second in ((1920, 100_000), (160, 50_000)):
            encoder = EncoderSettings(
                "libx264", max_width=max_width, bits_per_second=bits_per_second
            ).open(640, 360)
            self.addCleanup(encoder.close)
            pattern, film = PatternPicture("desk-12", 640, 360), encoder.init
            for number in range(15):
                time = number * TIMESCALE // 5
                sample = encoder.encode(pattern.draw(NOW_US, number), time, number == 0)
                film += write_fragment(
                    sequence=number, decode_time=time, duration=18_000,
                    keyframe=number == 0, data=sample,
                )  # fmt: skip
            pictures = frames_of(film)
            self.assertEqual(pictures[0].width, min(640, max_width))
            wanted = [Barcode(NOW_US // 1000, number) for number in range(15)]
            self.assertEqual([read(picture) for picture in pictures], wanted)

    def test_damage(self) -> None:
        """With any one cell turned over there is no bar code."""
        luma = PatternPicture("desk-12", 128, 72).draw(NOW_US, 77).planes[0]
        for cell in range(96):
            data = bytearray(luma)
            row, column = divmod(cell, 32)
            for y in range(63 + 3 * row, 66 + 3 * row):
                start = y * luma.line_size + 4 * column
                data[start : start + 4] = bytes(251 - value for value in data[start : start + 4])
            self.assertIsNone(read_barcode(bytes(data), 128, 72, luma.line_size))

    def test_noise(self) -> None:
        """Noise, and plain pictures, are no bar code."""
        for seed in range(20):
            self.assertIsNone(read_barcode(Random(seed).randbytes(128 * 72), 128, 72))
        for value in (0, 16, 128, 235, 255):
            self.assertIsNone(read_barcode(bytes((value,)) * (128 * 72), 128, 72))


class PatternTests(SynchronousTestCase):
    """What people see."""

    def test_everything_shows(self) -> None:
        """Title, time and number each change the picture above the bar code."""

        def top(title: str, time_us: int, number: int) -> bytes:
            luma = PatternPicture(title, 640, 360).draw(time_us, number).planes[0]
            return bytes(luma)[: luma.line_size * 315]

        pictures = {
            top("desk-12", NOW_US, 7),
            top("desk-13", NOW_US, 7),
            top("desk-12", NOW_US + 1_000, 7),
            top("desk-12", NOW_US + 86_400_000_000, 7),
            top("desk-12", NOW_US, 8),
        }
        self.assertEqual(len(pictures), 5)

    def test_moves(self) -> None:
        """The ground moves from one picture to the next, also where nothing is written."""
        pattern = PatternPicture("x", 640, 360)
        rows = {bytes(pattern.draw(NOW_US, n).planes[0])[:640] for n in range(4)}
        self.assertEqual(len(rows), 4)

    def test_long_title(self) -> None:
        """The longest sentinelId is written or left out, and the bar code stays readable."""
        for size in ((128, 72), (640, 360), (1920, 1080)):
            picture = PatternPicture("w" * 64, *size).draw(NOW_US, 1)
            self.assertEqual(read(picture), Barcode(NOW_US // 1000, 1))


class GlyphTests(SynchronousTestCase):
    """The font."""

    def test_every_character_of_an_id(self) -> None:
        """Whatever may stand in a sentinelId has a glyph of its own."""
        allowed = [c for c in map(chr, range(128)) if re.fullmatch(SENTINEL_ID, "a" + c)]
        self.assertEqual(len(allowed), 65)
        shapes = {tuple(glyphs.text_rows(c, 1, 0, 1)) for c in [*allowed, ":", "#", " ", "\0"]}
        self.assertEqual(len(shapes), len(allowed) + 4)

    def test_size(self) -> None:
        """Seven rows, six dots a character, each dot as wide as asked."""
        rows = glyphs.text_rows("ab", 3, 16, 235)
        self.assertEqual([len(row) for row in rows], [36] * 7)
        self.assertEqual(set(b"".join(rows)), {16, 235})
