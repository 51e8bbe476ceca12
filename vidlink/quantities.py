"""Numbers for people: lengths of time, octets, counts and bounds, in every message alike.

What only the commands say is in :mod:`vidlink.terminal.words`.
"""

from __future__ import annotations

from vidlink.model import Policy, Waiting


def length(seconds: float) -> str:
    """The time that something lasts: ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min {whole % 60} s"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def size(size_bytes: float) -> str:
    """Octets in units of 1,000: ``999 B``, ``1.5 MB``."""
    value, unit = float(size_bytes), 0
    units = ("B", "kB", "MB", "GB", "TB")
    while value >= 999.5 and unit < len(units) - 1:
        value /= 1000
        unit += 1
    digits = 0 if not unit or value >= 99.5 else 1
    return f"{value:.{digits}f} {units[unit]}"


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number and its noun: ``1 gap``, ``3 gaps``; `nouns` where that takes more than an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def repeated(withheld: int, what: str = "") -> str:
    """The end of a line of the log that stands for others too: empty where it stands for none.

    ``(59 times more since this was last said)``, or of `what`: ``(3 others neither ...)``.
    """
    if not withheld:
        return ""
    told = what or ("time more" if withheld == 1 else "times more")
    return f" ({withheld:,} {told} since this was last said)"


def figure(number: float) -> str:
    """A number as it may be typed again: ``1048576``, ``0.2``; never with an exponent."""
    whole = int(number)
    if whole == number:
        return str(whole)
    return f"{number:.9f}".rstrip("0")


def bounds(policy: Policy) -> str:
    """A policy in words: ``for 30 d 0 h, up to 500 GB``; ``for ever`` without one."""
    kept = [
        f"for {length(policy.max_age_us / 1e6)}" if policy.max_age_us is not None else "",
        f"up to {size(policy.max_bytes)}" if policy.max_bytes is not None else "",
        f"as long as the disk has {size(policy.min_free_bytes)} left"
        if policy.min_free_bytes is not None
        else "",
    ]
    words = ", ".join(one for one in kept if one) or "for ever"
    return f"{words} (a rehearsal: nothing is deleted)" if policy.is_rehearsal else words


def waiting_words(waiting: Waiting) -> str:
    """The reason why something is not deleted yet, and for how long."""
    until = "" if waiting.seconds is None else f"; that is done in {length(waiting.seconds)}"
    return f"{waiting.text}{until}"
