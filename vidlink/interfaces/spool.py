"""The Sentinel's spool: what was captured and is not acknowledged yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vidlink.model import Segment, SpooledSession


class ISpool(Interface):
    """Segments that a Sentinel keeps until the server has them for good, of all its sessions.

    They are bounded in octets. At the bound the oldest segments of the oldest session go first,
    up to the next keyframe, and are remembered as dropped ranges, to be declared as gaps. Nothing
    here fails because of a disk: what cannot be kept on it is kept in memory as far as the
    bound allows, and `on_trouble`, which a provider is made with, is told.
    """

    load = Attribute("""`float`: the part of the bound that is used, 0.0 to 1.0.""")

    def sessions() -> tuple[SpooledSession, ...]:
        """Every session that is not removed, the oldest first, also those of which nothing is
        held any more."""

    def begin(session_id: str, init: bytes, is_corrected: bool) -> None:
        """A new session; `is_corrected`: its start times are by the server's clock already."""

    def append(segment: Segment) -> None:
        """Keep the next segment of a session that has begun; sequences strictly ascend."""

    def drop(session_id: str, first: int, last: int, cause: str) -> None:
        """Give up `first` to `last`, held or never kept: from now on they are a dropped range.
        Counts for `newest`. Unknown sessions, and what is acknowledged, are ignored."""

    def forget(session_id: str, sequence: int) -> None:
        """Everything up to `sequence` is acknowledged. Unknown sessions are ignored."""

    def correct(session_id: str, offset_us: int) -> None:
        """From now on start times (and `prft`) of this session are read with `offset_us` added.
        The first call for a session that is not corrected counts; it is remembered."""

    def read(session_id: str, first: int, last: int) -> Deferred[tuple[Segment, ...]]:
        """Fires with held segments from `first` to `last`, in order, at most 1 MiB of them but
        at least one, marked late; empty if none is held. Never fails: one that is damaged is
        remembered as dropped."""

    def flush(session_id: str) -> Deferred[None]:
        """Fires when all that was appended to this session until now outlives what this spool
        outlives, or is not held any more. A disk in trouble is waited for, if need be for ever."""

    def remove(session_id: str) -> None:
        """Keep nothing of a session: the server has sealed it, or will never take it."""

    def close() -> Deferred[None]:
        """Let go of everything; on a disk it is durable when this fires."""
