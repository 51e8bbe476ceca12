"""The bar code of a test picture, read as its documentation says."""

from __future__ import annotations

from vidlink.sentinel.sources.picture import COLUMNS, NUMBER_LIMIT, ROWS, SYNC, Barcode

THRESHOLD = 125
BAND_ROW, BAND_ROWS = 21, 24


def crc16(data: bytes) -> int:
    """CRC-16 as the documentation describes it, by long division."""
    remainder = int.from_bytes(data, "big") << 16 ^ 0xFFFF << 8 * len(data)
    for bit in range(8 * len(data) + 15, 15, -1):
        if remainder >> bit & 1:
            remainder ^= 0x11021 << bit - 16
    return remainder


def read_barcode(
    luma: bytes | memoryview, width: int, height: int, stride: int | None = None
) -> Barcode | None:
    """Read the bar code of a picture from its luma plane, one byte a pixel.

    `stride` is the distance of two rows in bytes (default: `width`). None if there is no
    bar code, or it cannot be read.
    """
    stride = width if stride is None else stride
    bits = 0
    for row in range(ROWS):
        top = (4 * (BAND_ROW + row) + 1) * height // (4 * BAND_ROWS)
        bottom = max(top + 1, (4 * (BAND_ROW + row) + 3) * height // (4 * BAND_ROWS))
        for column in range(COLUMNS):
            left = (4 * column + 1) * width // (4 * COLUMNS)
            right = max(left + 1, (4 * column + 3) * width // (4 * COLUMNS))
            total = sum(
                sum(luma[y * stride + left : y * stride + right]) for y in range(top, bottom)
            )
            bits = bits << 1 | (total > THRESHOLD * (right - left) * (bottom - top))
    payload, check = bits >> 16 & (1 << 72) - 1, bits & 0xFFFF
    if bits >> 88 != SYNC or crc16(payload.to_bytes(9, "big")) != check:
        return None
    return Barcode(payload >> 24, payload & NUMBER_LIMIT - 1)
