"""A bitmap font for the test picture: PyAV's FFmpeg cannot draw text.

Each glyph is seven rows of five dots, top row first, one byte a row, the leftmost dot in the
bit of value 16.
"""

from __future__ import annotations

GLYPH_WIDTH, GLYPH_HEIGHT = 5, 7
#: From one glyph to the next, in dots.
ADVANCE = GLYPH_WIDTH + 1

_UNKNOWN = bytes.fromhex("1f11111111111f")
_GLYPHS = {
    name: bytes.fromhex(rows)
    for name, rows in (
        line.split()
        for line in """
        0 0e11131519110e  1 040c040404040e  2 0e11010204081f  3 1f02040201110e
        4 02060a121f0202  5 1f101e0101110e  6 0608101e11110e  7 1f010204080808
        8 0e11110e11110e  9 0e11110f01020c  . 0000000000000c  - 0000001f000000
        _ 0000000000001f  : 000c0c000c0c00  # 0a0a1f0a1f0a0a  / 00010204081000
        A 0e11111f111111  B 1e11111e11111e  C 0e11101010110e  D 1c12111111121c
        E 1f10101e10101f  F 1f10101e101010  G 0e11101711110f  H 1111111f111111
        I 0e04040404040e  J 0702020202120c  K 11121418141211  L 1010101010101f
        M 111b1515111111  N 11111915131111  O 0e11111111110e  P 1e11111e101010
        Q 0e11111115120d  R 1e11111e141211  S 0f10100e01011e  T 1f040404040404
        U 1111111111110e  V 11111111110a04  W 1111111515150a  X 11110a040a1111
        Y 1111110a040404  Z 1f01020408101f
        a 00000e010f110f  b 1010161911111e  c 00000e1010110e  d 01010d1311110f
        e 00000e111f100e  f 0609081c080808  g 000f11110f010e  h 10101619111111
        i 04000c0404040e  j 0200060202120c  k 10101214181412  l 0c04040404040e
        m 00001a15151111  n 00001619111111  o 00000e1111110e  p 00001e111e1010
        q 00000d130f0101  r 00001619101010  s 00000e100e011e  t 08081c08080906
        u 0000111111130d  v 00001111110a04  w 0000111115150a  x 0000110a040a11
        y 000011110f010e  z 00001f0204081f
        """.replace("  ", "\n").splitlines()
        if line.strip()
    )
}


def text_rows(text: str, dot: int, dark: int, light: int) -> list[bytes]:
    """The seven rows of `text`, each dot `dot` pixels wide, as luma values.

    A space is blank, a character the font does not have is a box.
    """
    off, on = bytes((dark,)) * dot, bytes((light,)) * dot
    glyphs = [bytes(GLYPH_HEIGHT) if c == " " else _GLYPHS.get(c, _UNKNOWN) for c in text]
    return [
        b"".join(
            on if glyph[row] << 1 >> bit & 1 else off
            for glyph in glyphs
            for bit in range(GLYPH_WIDTH, -1, -1)
        )
        for row in range(GLYPH_HEIGHT)
    ]
