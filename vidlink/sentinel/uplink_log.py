"""The lines that the Sentinel's log has of its conversation with the server.

The conversation is :mod:`vidlink.links.uplink`, its socket :mod:`vidlink.sentinel.uplink`.
"""

from __future__ import annotations

from twisted.logger import Logger

from vidlink.dialling.backoff import BackOff
from vidlink.links.uplink.live import ASLEEP
from vidlink.messages import DeclareGap


class UplinkLog:
    """Writes into the log how the conversation goes, and lets the back-off know."""

    _log = Logger()

    def __init__(self, url: str, back_off: BackOff) -> None:
        self._url = url
        self._back_off = back_off

    def on_registered(self) -> None:
        """The server has accepted this Sentinel."""
        self._back_off.reset()
        self._log.info("registered at {url}", url=self._url)

    def on_error(self, code: str, message: str) -> None:
        """The server has said what is wrong."""
        self._log.warn("the server says: {text} ({code})", text=message, code=code)

    def on_offline(self, seconds: float, load: float) -> None:
        """There is no server."""
        self._log.info(
            "offline for {minutes} min; the spool is {percent} % full",
            minutes=round(seconds / 60),
            percent=round(load * 100),
        )

    def on_session(self, session_id: str, is_live: bool) -> None:
        """A session has begun."""
        how = "" if is_live else ", without a server"
        self._log.info("session {session} has begun{how}", session=session_id, how=how)

    def on_dropped(self, count: int, why: str) -> None:
        """Frames were not sent; said at once, and then once a minute."""
        self._log.warn("{count} frames were not sent: {why}", count=count, why=why)

    def on_asleep(self, seconds: float) -> None:
        """The computer was asleep."""
        self._log.info("this computer was asleep for {seconds} s", seconds=round(seconds, 1))

    def on_backfill(self, sessions: int, segments: int) -> None:
        """There is something to be delivered late."""
        self._log.info(
            "to be delivered late: {segments} segments; earlier sessions: {sessions}",
            segments=segments,
            sessions=sessions,
        )

    def on_delivered(self, session_id: str, waiting: int) -> None:
        """One session is done with."""
        self._log.info(
            "session {session} is delivered and sealed; {what}",
            session=session_id,
            what=f"{waiting} to go" if waiting else "nothing is left",
        )

    def on_lost(self, gap: DeclareGap) -> None:
        """Something will never be delivered."""
        if gap.cause == ASLEEP:
            # Nothing was captured that could be lost.
            return
        self._log.warn(
            "segments {first} to {last} of session {session} are lost: {why}",
            first=gap.first,
            last=gap.last,
            session=gap.session_id,
            why=gap.cause,
        )

    def on_refused(self, session_id: str, segments: int) -> None:
        """The server has closed the books on a session."""
        self._log.warn(
            "session {session} is not taken: {segments} segments of it are given up",
            session=session_id,
            segments=segments,
        )

    def on_moved(self, old_id: str, new_id: str) -> None:
        """A session was sealed while we were cut off."""
        self._log.info(
            "session {old} is sealed; what is left of it is delivered as session {new}",
            old=old_id,
            new=new_id,
        )

    def on_set_aside(self, session_id: str) -> None:
        """A session is not offered any more."""
        self._log.error(
            "the server closes whenever it is sent session {session}; it is set aside",
            session=session_id,
        )

    def on_trouble(self, text: str) -> None:
        """Nothing is captured, or it is again."""
        self._log.warn("{text}", text=text)
