"""One page of sessions: which belong on it, in which order, and where the next one begins.

What is live comes from the ledger and all else from the database; `archive` puts the two together.
"""

from __future__ import annotations

import re

from vidlink.errors import RequestError
from vidlink.model import SessionQuery, SessionRecord
from vidlink.store.sequences.times import extent_us, start_us

_TOKEN = re.compile(r"s(-?[0-9]{1,19})\.([A-Za-z0-9_-]{16,64})", re.ASCII)


def matches(query: SessionQuery, record: SessionRecord) -> bool:
    """True if a session belongs into the answer; pages are not looked at."""
    session = record.session
    begins_us, reaches_us = extent_us(record)
    return (
        query.sentinel_id in (None, session.sentinel_id)
        and query.group in (None, session.group)
        and (query.within is None or session.group in query.within)
        and (query.to_time_us is None or begins_us < query.to_time_us)
        and (query.from_time_us is None or reaches_us >= query.from_time_us)
    )


def page_key(record: SessionRecord) -> tuple[int, str]:
    """The order of sessions, descending: by the time that is shown of each, then by their id."""
    return start_us(record), record.session.session_id


def write_token(record: SessionRecord) -> str:
    """The `after` of the page that follows the session in `record`."""
    return "s{}.{}".format(*page_key(record))


def read_token(token: str) -> tuple[int, str]:
    """The :func:`page_key` that `token` names.

    :raises RequestError: if it is not one that :func:`write_token` gives.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise RequestError("`after` is not the `next` of an earlier page")
    return int(match[1]), match[2]
