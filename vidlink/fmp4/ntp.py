"""NTP time stamps as `prft` carries them, from and to microseconds since 1970.

A stamp counts seconds modulo 2^32 from 1900 and wraps in 2036; as RFC 4330 section 3 says, one
whose first bit is clear is taken to be of the era after that. So times from 1968 to 2104 survive.
"""

from __future__ import annotations

_ERA_SECONDS = 1 << 32
_TO_UNIX_SECONDS = 2_208_988_800


def ntp_from_us(time_us: int) -> tuple[int, int]:
    """The seconds and the fraction (in 2^-32 s) of an NTP time stamp."""
    seconds, rest_us = divmod(time_us, 1_000_000)
    fraction = ((rest_us << 32) + 500_000) // 1_000_000
    return (seconds + _TO_UNIX_SECONDS) & (_ERA_SECONDS - 1), fraction


def us_from_ntp(seconds: int, fraction: int) -> int:
    """Microseconds since 1970 UTC, to the nearest."""
    if seconds < _ERA_SECONDS >> 1:
        seconds += _ERA_SECONDS
    return (seconds - _TO_UNIX_SECONDS) * 1_000_000 + ((fraction * 1_000_000 + (1 << 31)) >> 32)
