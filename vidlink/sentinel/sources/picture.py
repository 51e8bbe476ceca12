"""The test picture: something that moves, can be read by people, and by programs.

The bar code fills the lowest eighth of the picture over its whole width, so it can be found in
a picture of any size, also after H.264 and after scaling:

- It is a grid of 32 columns and 3 rows. In a picture of `width` x `height`, column `c` (0 to 31)
  reaches from `c * width / 32` to `(c + 1) * width / 32`; row `r` (0 to 2) from
  `(21 + r) * height / 24` to `(22 + r) * height / 24`.
- A cell is one bit: white (luma 235) is 1, black (luma 16) is 0. To read it, average the middle
  half of the cell in both directions, and call it 1 if that is above 125 (in luma; above 127
  in the mean of red, green and blue as a canvas gives them).
- The 96 bits, row by row from the top, each row from the left, most significant bit first:
  8 bits sync, always 1011 0010 (0xB2); 48 bits capture time, milliseconds since 1970 UTC;
  24 bits frame number, modulo 2^24; 16 bits check sum.
- The check sum is CRC-16 with polynomial 0x1021, initial value 0xFFFF, nothing reflected and
  nothing inverted at the end ("CCITT-FALSE"), over the nine bytes of time and number as they
  stand. What does not begin with the sync or does not fit its check sum is no bar code.

A cell stays readable down to about 4 x 3 pixels: a picture of 128 x 72.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace

from vidlink.sentinel.sources.glyphs import ADVANCE, GLYPH_HEIGHT, text_rows

COLUMNS, ROWS = 32, 3
SYNC = 0xB2
TIME_LIMIT_MS = 1 << 48
NUMBER_LIMIT = 1 << 24
BLACK, WHITE = 16, 235
_BAND_ROW, _BAND_ROWS = 21, 24
_PERIOD = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Barcode:
    """The bar code of a picture: when it was taken, and the how manieth it is."""

    time_ms: int
    number: int


def _barcode_bits(code: Barcode) -> int:
    payload = (code.time_ms % TIME_LIMIT_MS) << 24 | code.number % NUMBER_LIMIT
    return SYNC << 88 | payload << 16 | _crc16(payload.to_bytes(9, "big"))


def _crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


class PatternPicture:
    """Draws the test picture of one Sentinel: its id, clock and number on a moving ground.

    `width` and `height` are in pixels, even, and at least 128 x 72.
    """

    def __init__(self, title: str, width: int, height: int) -> None:
        self._title = title
        self._width = width
        self._height = height
        length = 2 * (_PERIOD + width)  # a plane's rows may be longer than its width
        self._luma = bytes(60 + abs(i % _PERIOD - 128) for i in range(length))
        self._blue = bytes(96 + abs(i * 2 % _PERIOD - 128) // 2 for i in range(length))
        self._red = bytes(96 + abs((i * 2 + 85) % _PERIOD - 128) // 2 for i in range(length))

    def draw(self, time_us: int, number: int) -> VideoFrame:
        """The picture taken at `time_us` (microseconds since 1970 UTC), the `number`-th."""
        frame = VideoFrame(self._width, self._height, "yuv420p")
        frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        luma, blue, red = frame.planes
        shift = number * 8
        luma.update(self._draw_luma(luma, shift, time_us, number))
        blue.update(self._ground(blue, self._blue, shift // 2, 128))
        red.update(self._ground(red, self._red, shift // 2, 128))
        return frame

    def _ground(self, plane: VideoPlane, wave: bytes, shift: int, band: int) -> bytes:
        """Diagonal stripes that move to the left, and a plain band for the bar code."""
        stride, height = plane.line_size, plane.height
        top = _BAND_ROW * height // _BAND_ROWS
        rows = [wave[(y + shift) % _PERIOD :][:stride] for y in range(top)]
        rows.append(bytes((band,)) * (stride * (height - top)))
        return b"".join(rows)

    def _draw_luma(self, plane: VideoPlane, shift: int, time_us: int, number: int) -> bytes:
        picture = bytearray(self._ground(plane, self._luma, shift, BLACK))
        moment = (_EPOCH + timedelta(microseconds=time_us)).isoformat(" ", "milliseconds")
        lines = (self._title, moment[:10], moment[11:23], f"#{number}")
        for line, text in enumerate(lines):
            self._write(picture, plane.line_size, text, line, len(lines))
        self._draw_barcode(picture, plane.line_size, Barcode(time_us // 1000, number))
        return bytes(picture)

    def _write(self, picture: bytearray, stride: int, text: str, line: int, lines: int) -> None:
        """Write one of so many lines, centred, as large as the picture allows."""
        room = self._height * _BAND_ROW // _BAND_ROWS // lines
        dot = min(room // (GLYPH_HEIGHT + 3), self._width // (ADVANCE * len(text) + 2))
        if dot < 1:
            return
        left = (self._width - dot * ADVANCE * len(text)) // 2
        top = room * line + (room - dot * GLYPH_HEIGHT) // 2
        for y, row in enumerate(text_rows(text, dot, BLACK, WHITE)):
            for copy in range(dot):
                start = (top + y * dot + copy) * stride + left
                picture[start : start + len(row)] = row

    def _draw_barcode(self, picture: bytearray, stride: int, code: Barcode) -> None:
        bits = _barcode_bits(code)
        edges = [column * self._width // COLUMNS for column in range(COLUMNS + 1)]
        for row in range(ROWS):
            cells = bits >> COLUMNS * (ROWS - 1 - row)
            pixels = b"".join(
                bytes((WHITE if cells >> COLUMNS - 1 - c & 1 else BLACK,))
                * (edges[c + 1] - edges[c])
                for c in range(COLUMNS)
            )
            top = (_BAND_ROW + row) * self._height // _BAND_ROWS
            bottom = (_BAND_ROW + row + 1) * self._height // _BAND_ROWS
            for y in range(top, bottom):
                picture[y * stride : y * stride + self._width] = pixels
