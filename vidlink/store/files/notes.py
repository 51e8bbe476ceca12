"""The notes that a data folder keeps: the time that it has seen, the policy by which was deleted,
and how far it was scrubbed.

``clock.json`` is written once a minute (`sequences.trusted`), ``policy.json`` when another policy
comes into force (`deleting.probation`), ``scrub.json`` once a minute while something is scrubbed
(`reading.scrub`). Nothing is synced for either: whoever finds none, or one
that cannot be read, is only more careful.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar
from zlib import crc32

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import Policy, ScrubPlace, Seen
from vidlink.store.files.layout import FORMAT, I63, typed

_log = Logger()

T = TypeVar("T")
_TIMES = ("time_us", "floor_us", "claimed_us", "served_us")
_BOUNDS = ("max_age_us", "max_bytes", "min_free_bytes")


def read_seen(path: str, disk: Disk) -> Seen | None:
    """The time that was kept at `path`; None if none was, or it cannot be read."""
    return _read(path, disk, _seen)


def write_seen(path: str, seen: Seen, disk: Disk) -> None:
    """Keep `seen` at `path`.

    :raises OSError: the disk fails.
    """
    _write(path, {name: getattr(seen, name) for name in _TIMES}, disk)


def read_policy(path: str, disk: Disk) -> Policy | None:
    """The policy that was kept at `path`; None if none was, or it cannot be read."""
    return _read(
        path, disk, lambda known: Policy(**{name: _bound(known[name]) for name in _BOUNDS})
    )


def write_policy(path: str, policy: Policy, disk: Disk) -> None:
    """Keep `policy` at `path`.

    :raises OSError: the disk fails.
    """
    _write(path, {name: getattr(policy, name) for name in _BOUNDS}, disk)


def read_scrub(path: str, disk: Disk) -> ScrubPlace | None:
    """The place of the scrub that was kept at `path`."""
    return _read(path, disk, _scrub_place)


def write_scrub(path: str, place: ScrubPlace, disk: Disk) -> None:
    """Keep `place` at `path`.

    :raises OSError: the disk fails.
    """
    _write(path, asdict(place), disk)


def _read(path: str, disk: Disk, made: Callable[[dict[str, Any]], T]) -> T | None:
    try:
        known = json.loads(disk.read(path, 0, 4_096))
        if typed(known["format"], int) != FORMAT:
            raise ValueError(f"it has format {known['format']}, not {FORMAT}")
        # One wrong bit in a time would be years of age.
        if typed(known.pop("crc32"), int) != _check(known):
            raise ValueError("it is not what was written")
        return made(known)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warn("{path} cannot be read, and is made anew: {why}", path=path, why=str(error))
        return None


def _write(path: str, known: dict[str, Any], disk: Disk) -> None:
    known = {"format": FORMAT, **known}
    data = json.dumps({**known, "crc32": _check(known)}).encode("ascii") + b"\n"
    disk.replace(path, data, flush=False)


def _check(known: dict[str, Any]) -> int:
    return crc32(json.dumps(known, sort_keys=True).encode("ascii"))


def _seen(known: dict[str, Any]) -> Seen:
    # An older version kept two of them: nothing of its doubt has been served.
    known = {"claimed_us": 0, "served_us": 0, **known}
    return Seen(*(_time(known[name]) for name in _TIMES))


def _scrub_place(known: dict[str, Any]) -> ScrubPlace:
    row, size_bytes = (typed(known[name], int) for name in ("row", "size_bytes"))
    return ScrubPlace(_time(known["began_us"]), row, size_bytes, typed(known["is_over"], bool))


def _time(value: Any) -> int:
    time_us: int = typed(value, int)
    if not -I63 <= time_us < I63:
        raise ValueError(f"{time_us} is no time")
    return time_us


def _bound(value: Any) -> Any:
    return None if value is None else typed(value, int)
