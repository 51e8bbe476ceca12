"""News of all Sentinels for one Proctor, whatever it is watching: their list, and alarms.

Both are kept for all Proctors together, in :mod:`vidlink.relay.roster` and
:mod:`vidlink.relay.alarms`.
"""

from __future__ import annotations

from vidlink.interfaces import ICodec
from vidlink.messages import ErrorMessage, Sentinels
from vidlink.model import Frame, Principal
from vidlink.relay.hub import Hub
from vidlink.wire.framing import message_frame

#: The version of the list of a Proctor that has not been sent it yet.
NOTHING_SEEN = -1


class News:
    """One Proctor's place in the list and among the alarms; it hears of alarms from now on.

    Of both it hears what is about Sentinels that `principal` sees, or about none.

    Frames are shared by all Proctors of one format that have seen the same.
    """

    def __init__(self, hub: Hub, codec: ICodec, principal: Principal) -> None:
        self._hub = hub
        self._principal = principal
        self._codec = codec
        self._list_version = NOTHING_SEEN
        self._alarms_seen = hub.alarms.count

    def pull(self) -> Frame | None:
        """The next frame for the socket: the whole list or what is new in it, then alarms."""
        hub, frame = self._hub, None
        if self._list_version < hub.roster.version:
            frame = self._list()
        if frame is None and self._alarms_seen < hub.alarms.count:
            frame = self._alarm()
        return frame

    def _list(self) -> Frame | None:
        roster = self._hub.roster
        is_full = self._list_version < roster.full_version
        since = NOTHING_SEEN if is_full else self._list_version
        place = (self._codec.name, since, self._principal.groups)
        frame = roster.frames.get(place)
        if frame is None:
            rows = roster.since(self._list_version)
            seen = tuple(row for row in rows if self._principal.sees(row.group))
            if not seen and not is_full:
                self._list_version = roster.version
                return None
            frame = message_frame(self._codec, Sentinels(is_full, seen))
            roster.frames[place] = frame
        self._list_version = roster.version
        return frame

    def _alarm(self) -> Frame | None:
        while True:
            alarm, self._alarms_seen = self._hub.alarms.after(self._alarms_seen)
            if alarm is None:
                return None
            if self._is_to_be_heard(alarm.sentinel_id):
                break
        frame = alarm.frames.get(self._codec.name)
        if frame is None:
            error = ErrorMessage(alarm.error.code, str(alarm.error), alarm.sentinel_id or None)
            frame = alarm.frames[self._codec.name] = message_frame(self._codec, error)
        return frame

    def _is_to_be_heard(self, sentinel_id: str) -> bool:
        """True if an alarm is about no Sentinel, or about one that is seen."""
        if not sentinel_id or self._principal.groups is None:
            return True
        stream = self._hub.stream(sentinel_id)
        return stream is not None and self._principal.sees(stream.group)
