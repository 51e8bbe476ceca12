"""A page of text that is typed on and scrolled: the screen of a load test.

It is encoded once, as a Sentinel encodes it.
"""

from __future__ import annotations

from random import Random

from av import VideoFrame

from vidlink.loadtest.film import KEYFRAME_SECONDS, Film
from vidlink.sentinel.capture.encoders import SOFTWARE, EncoderSettings
from vidlink.sentinel.sources.glyphs import ADVANCE, GLYPH_HEIGHT, text_rows

SIZE = (1920, 1080)
#: The page moves up by some lines so often.
_SCROLL_SECONDS = 2.0
_SCROLLED_LINES = 1
_DOT, _LINE, _MARGIN = 2, 20, 20
_PAPER, _INK = 235, 30
_LETTERS = "etaoinshrdlucmfwypvbgk ETAOINS 0123456789 .-:      "


def shoot(frames_a_second: float) -> Film:
    """Encode the film, from one keyframe to the next; takes a second or three."""
    count = max(2, round(KEYFRAME_SECONDS * frames_a_second))
    encoder = EncoderSettings(SOFTWARE, *SIZE).open(*SIZE)
    page = Page(*SIZE)
    step = round(encoder.timescale / frames_a_second)
    samples = []
    for number in range(count):
        if number and number % max(1, round(_SCROLL_SECONDS * frames_a_second)) == 0:
            page.scroll()
        page.type()
        samples.append(encoder.encode(page.picture(), step * number, number == 0))
    film = Film(encoder.init, encoder.timescale, tuple(samples))
    encoder.close()
    return film


class Page:
    """A page full of text, always the same; `width` and `height` are in pixels, and even."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._random = Random(1)
        self._luma = bytearray([_PAPER]) * (width * height)
        self._column = 0
        for line in range(self._lines):
            self._fill(line)

    def type(self) -> None:
        """Type one letter, at the end of the last line but two."""
        line = self._lines - _SCROLLED_LINES
        columns = (self._width - 2 * _MARGIN) // (_DOT * ADVANCE)
        self._column = (self._column + 1) % columns
        self._write(self._random.choice(_LETTERS), line, self._column)

    def scroll(self) -> None:
        """Move up, with new lines from below."""
        gone = _SCROLLED_LINES * _LINE * self._width
        self._luma[:] = self._luma[gone:] + bytes([_PAPER]) * gone
        for line in range(self._lines - _SCROLLED_LINES, self._lines):
            self._fill(line)

    def picture(self) -> VideoFrame:
        """The page as it is now, in grey."""
        frame = VideoFrame(self._width, self._height, "yuv420p")
        luma, *colours = frame.planes
        width, stride = self._width, luma.line_size
        edge = bytes(stride - width)
        rows = (self._luma[y * width : (y + 1) * width] for y in range(self._height))
        luma.update(b"".join(bytes(row) + edge for row in rows))
        for plane in colours:
            plane.update(b"\x80" * (plane.line_size * plane.height))
        return frame

    @property
    def _lines(self) -> int:
        return (self._height - 2 * _MARGIN) // _LINE

    def _fill(self, line: int) -> None:
        most = (self._width - 2 * _MARGIN) // (_DOT * ADVANCE)
        length = self._random.randrange(most // 3, most)
        self._write("".join(self._random.choices(_LETTERS, k=length)), line, 0)

    def _write(self, text: str, line: int, column: int) -> None:
        left = _MARGIN + column * _DOT * ADVANCE
        top = _MARGIN + line * _LINE
        for y, row in enumerate(text_rows(text, _DOT, _PAPER, _INK)):
            for copy in range(_DOT):
                start = (top + y * _DOT + copy) * self._width + left
                self._luma[start : start + len(row)] = row
        assert top + GLYPH_HEIGHT * _DOT <= self._height
