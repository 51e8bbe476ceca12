"""Requests read strictly: path, query and JSON body to values.

Everything that is not understood is refused with what is wanted instead, because a misspelt
bound that is silently ignored shows a person the wrong hour.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl

from vidlink.model import EXACT_LIMIT, SEQUENCE_LIMIT, ClipQuery, is_sentinel_id, is_session_id
from vidlink.server.api.refusals import BadParameter, WrongMediaType

#: At most so many are on one page, and so many unless a request says.
MAX_SENTINELS = USUAL_SENTINELS = 5_000
MAX_SESSIONS, USUAL_SESSIONS = 1_000, 100
MAX_SEGMENTS, USUAL_SEGMENTS = 5_000, 1_000
MAX_RECEIPTS, USUAL_RECEIPTS = 1_000, 100
MAX_DUE, USUAL_DUE = 1_000, 100
MAX_ENTRIES, USUAL_ENTRIES = 1_000, 100
MAX_ENROLMENTS, USUAL_ENROLMENTS = 1_000, 100
#: One request for several segments may span so many sequences, because each hole among them is
#: named in a header, and clients take headers of 16 KiB.
MAX_RANGE = 1_000
LONGEST_TEXT = 200
#: Of a user, and of what a ticket is for.
LONGEST_NAME, LONGEST_PATH = 64, 512
#: Program and version of a Sentinel that enrols.
LONGEST_SOFTWARE = 128
#: Frames a second; whatever is asked for below is clamped.
FASTEST = 1_000_000
#: Times that are asked for are below, in microseconds since the epoch; recorded ones are smaller.
QUERY_TIME_LIMIT_US = 2**63

#: So many films that are asked for again and again are read once.
_MOST_FILMS = 256

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
_VERSION = re.compile("[0-9a-f]{32}", re.ASCII)
_FINGERPRINT = re.compile("[0-9a-f]{64}", re.ASCII)
_INTEGER = re.compile("[0-9]{1,19}", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_WANTED_TIME = (
    "must be microseconds since the epoch, or a time as in RFC 3339 such as "
    "2026-07-01T09:30:00Z (write + as %2B)"
)
_WANTED_SENTINEL_ID = (
    "must be 1 to 64 letters, digits, dots, hyphens or underscores, the first a letter or a digit"
)


class Query:
    """The query of one request; every parameter may be given once.

    :param target: the request's path and query, as sent.
    :param known: the names that are understood.
    :raises BadParameter: for any other name, and from each method for a value that is none.
    """

    def __init__(self, target: bytes, known: Collection[str] = ()) -> None:
        query = target.partition(b"?")[2]
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace")
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                taken = f"what is: {', '.join(known)}" if known else "there are none"
                raise BadParameter(name[:60] or "''", f"is no parameter of this path; {taken}")
            if name in self._values:
                raise BadParameter(name, "is given twice")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """A parameter as it is; None if it was not given."""
        value = self._values.get(name)
        if value is not None and len(value) > LONGEST_TEXT:
            raise BadParameter(name, f"must not be longer than {LONGEST_TEXT} characters")
        return value

    def sentinel_id(self, name: str) -> str | None:
        """A sentinelId; None if it was not given."""
        return self._read(name, sentinel_id)

    def time_us(self, name: str) -> int | None:
        """A time in microseconds since the epoch; None if it was not given."""
        return self._read(name, time_us)

    def time_range_us(self, begin: str = "from", end: str = "to") -> tuple[int | None, int | None]:
        """The times `begin` and `end`, the first not after the second."""
        first, last = self.time_us(begin), self.time_us(end)
        if first is not None and last is not None and first > last:
            raise BadParameter(begin, f"must not be after {end}")
        return first, last

    def sequence(self, name: str) -> int | None:
        """A sequence; None if it was not given."""
        return self._read(name, sequence)

    def version(self, name: str) -> str | None:
        """The validator of a body, without quotes; None if it was not given."""
        value = self._values.get(name)
        if value is not None and not _VERSION.fullmatch(value):
            raise BadParameter(name, "must be 32 hexadecimal digits, as in an ETag")
        return value

    def flag(self, name: str) -> bool:
        """A parameter that is ``true`` or ``false``; False if it was not given."""
        value = self._values.get(name, "false")
        if value not in ("true", "false"):
            raise BadParameter(name, "must be true or false")
        return value == "true"

    def word(self, name: str, words: type[E]) -> E | None:
        """The member of `words` that a parameter names; None if it was not given."""
        value = self._values.get(name)
        found = next((one for one in words if one.value == value), None)
        if value is not None and found is None:
            raise BadParameter(name, f"must be one of {', '.join(one.value for one in words)}")
        return found

    def number(self, name: str) -> int | None:
        """A number from 1 on; None if it was not given."""
        return self._read(name, lambda text, name: _integer(text, name, 1, EXACT_LIMIT - 1))

    def limit(self, default: int, most: int) -> int:
        """The parameter ``limit``: from 1 to `most`."""
        found = self._read("limit", lambda text, name: _integer(text, name, 1, most))
        return default if found is None else found

    def _read(self, name: str, read: Callable[[str, str], T]) -> T | None:
        value = self._values.get(name)
        return None if value is None else read(value, name)


def sentinel_id(text: str, name: str = "sentinelId") -> str:
    """`text`, if it may name a Sentinel."""
    if not is_sentinel_id(text):
        raise BadParameter(name, _WANTED_SENTINEL_ID)
    return text


def fingerprint(text: str, name: str = "machine") -> str:
    """`text`, if it can be the fingerprint of a machine."""
    if not _FINGERPRINT.fullmatch(text):
        raise BadParameter(
            name, "must be 64 hexadecimal digits, the SHA-256 of what the machine is"
        )
    return text


def session_id(text: str) -> str:
    """`text`, if it may name a session."""
    if not is_session_id(text):
        raise BadParameter("sessionId", "must be 16 to 64 letters, digits, hyphens or underscores")
    return text


def sequence(text: str, name: str = "sequence") -> int:
    """`text` as a sequence."""
    return _integer(text, name, 0, SEQUENCE_LIMIT - 1)


def _integer(text: str, name: str, least: int, most: int) -> int:
    number = int(text) if _INTEGER.fullmatch(text) else least - 1
    if not least <= number <= most:
        raise BadParameter(name, f"must be an integer from {least} to {most}")
    return number


def time_us(text: str, name: str) -> int:
    """`text`, an integer or a time as in RFC 3339, in microseconds since the epoch.

    Digits beyond microseconds are cut off; second 60 is the first of the next minute.
    """
    if _INTEGER.fullmatch(text):
        number = int(text)
        if number < QUERY_TIME_LIMIT_US:
            return number
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadParameter(name, _WANTED_TIME)
    day, minute, seconds, fraction, sign, hours, minutes = match.groups()
    try:
        begun = datetime.fromisoformat(f"{day}T{minute}")
    except ValueError:
        raise BadParameter(name, _WANTED_TIME) from None
    if int(seconds) > 60 or int(hours or 0) > 23 or int(minutes or 0) > 59:
        raise BadParameter(name, _WANTED_TIME)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    since = begun - _EPOCH + timedelta(seconds=int(seconds))
    since += offset if sign == "-" else -offset
    return since // _MICROSECOND + int((fraction or "")[:6].ljust(6, "0"))


def json_object(body: bytes, content_type: str | None) -> dict[str, object]:
    """The JSON object that `body` is.

    :raises WrongMediaType: unless it is said to be JSON: a form of a foreign page can send anything
        but that.
    :raises BadParameter: if it is none.
    """
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMediaType("the body must be JSON, with Content-Type: application/json")
    try:
        value = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadParameter("body", "is not JSON") from None
    if not isinstance(value, dict):
        raise BadParameter("body", "must be a JSON object")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, each of whose names is there once."""
    value: dict[str, object] = {}
    for name, one in pairs:
        if name in value:
            raise BadParameter(name[:60] or "''", "is given twice")
        value[name] = one
    return value


@lru_cache(_MOST_FILMS)
def film_query(target: bytes) -> tuple[ClipQuery, str | None]:
    """The film that a request asks for, and of which version it is to be."""
    query = Query(target, ("last", "start", "end", "version"))
    wanted = ClipQuery(*query.time_range_us("start", "end"), query.sequence("last"))
    return wanted, query.version("version")


def hold_reason(body: dict[str, object]) -> str:
    """The reason that `body` gives for a hold; nothing else may stand in it."""
    _only(body, "reason")
    value = body.get("reason")
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise BadParameter("reason", f"must be a text of 1 to {LONGEST_TEXT} characters")
    return value


def framerate_mhz(body: dict[str, object]) -> int:
    """The frame rate that `body` asks for, in mHz, not clamped; nothing else may stand in it."""
    _only(body, "framerate")
    value = body.get("framerate")
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= FASTEST
        or round(value, 3) != value
    ):
        raise BadParameter(
            "framerate", "must be a number of frames a second above 0, at most three decimals"
        )
    return round(value * 1000)


def texts(body: dict[str, object], **most: int) -> tuple[str, ...]:
    """The texts in `body` of these names, each of 1 to so many characters; nothing else may stand
    in it."""
    _only(body, *most)
    found = []
    for name, longest in most.items():
        value = body.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise BadParameter(name, f"must be a text of 1 to {longest} characters")
        found.append(value)
    return tuple(found)


def _only(body: dict[str, object], *names: str) -> None:
    unknown = sorted(body.keys() - {*names})
    if unknown:
        known = ", ".join(names)
        raise BadParameter(unknown[0][:60] or "''", f"is not known here; what is: {known}")
