"""The head of a film: the tables of its samples, what it says of itself, and its validator."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from vidlink.errors import Damaged, NotMedia
from vidlink.fmp4 import Caption, Label, MediaInfo, read_init, write_movie
from vidlink.model import Session, time_or_us
from vidlink.store.film.cut import Cut
from vidlink.store.film.footage import Footage


def media_of(session: Session) -> MediaInfo:
    """The media that the segments of `session` are.

    :raises Damaged: if its initialization segment cannot be read.
    """
    try:
        return read_init(session.init)
    except NotMedia as error:
        raise Damaged(f"the initialization segment cannot be read: {error}") from error


def make_head(
    session: Session, footage: Footage, taken: Cut, said: Sequence[Caption]
) -> tuple[bytes, str]:
    """The octets before the segments of a film, and its validator: over that, which has the place
    of every sample, and over the checksum of every segment."""
    places, tail, count = footage.scene.places, footage.tail.places, footage.count
    head = write_movie(
        session.init,
        footage.samples(taken.begin, taken.stop),
        media_bytes=footage.size_of_first(taken.stop) - footage.size_of_first(taken.begin),
        shown=(taken.shown_from, taken.shown_to),
        label=_label(session, taken),
        captions=said,
    )
    digest = blake2b(head, digest_size=16)
    digest.update(places.checks[min(taken.begin, count) : min(taken.stop, count)])
    digest.update(tail.checks[max(0, taken.begin - count) : max(0, taken.stop - count)])
    return head, digest.hexdigest()


def _label(session: Session, taken: Cut) -> Label:
    """The words of a film about itself, in tags that players show and in our own."""
    start, end = _moment(taken.start_us), _moment(taken.end_us)
    name = session.name or session.sentinel_id
    comment = f"sentinel {session.sentinel_id}, session {session.session_id}, from {start} to {end}"
    return Label(
        taken.start_us,
        (
            ("\xa9nam", f"{name} {start}"),
            ("\xa9day", start),
            ("\xa9cmt", comment),
            ("\xa9too", session.software),
            ("sentinelId", session.sentinel_id),
            ("sessionId", session.session_id),
        ),
    )


def _moment(time_us: int) -> str:
    """A time with its offset; microseconds since the epoch where no calendar has a name for it."""
    return time_or_us(time_us, lambda at: at.isoformat(timespec="milliseconds"))
