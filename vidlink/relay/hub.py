"""All streams together: who publishes, who follows, and the rule for two Sentinels with one id.

One of them is :mod:`vidlink.relay.stream`; their list is :mod:`vidlink.relay.roster`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from vidlink.errors import IdInUse, NoResources, NotFound, VidlinkError
from vidlink.interfaces import IFollower, IPublisher
from vidlink.model import USUAL, Bounds, Registration, SentinelStatus
from vidlink.quantities import repeated
from vidlink.relay.alarms import Alarms
from vidlink.relay.buffer import Budget, Buffer
from vidlink.relay.roster import Roster
from vidlink.relay.stream import Stream
from vidlink.relay.tally import Tally

#: The time that the older of two Sentinels with one id has to show that it is alive.
PROBE_SECONDS = 2.0
#: Viewers are sent the whole list anew, because somebody was forgotten, no more often than this.
RENEWAL_SECONDS = 30.0


class Hub:
    """The server's live state.

    :param seconds: the monotonic clock by which what has arrived grows old, also while the
        computer sleeps.
    :param window_seconds: what every memory buffer keeps.
    :param cap_bytes: the most one memory buffer holds.
    :param total_bytes: the most all of them hold together.
    :param bounds: of the Sentinels that are remembered and waited for, and of alarms.
    """

    _log = Logger()

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        window_seconds: float = 20.0,
        cap_bytes: int = 64 * 1024 * 1024,
        total_bytes: int = 2 * 1024 * 1024 * 1024,
        bounds: Bounds = USUAL,
    ) -> None:
        self.roster = Roster()
        self.alarms = Alarms(seconds, bounds.alarms)
        self.tally = Tally()
        self.budget = Budget(total_bytes)
        self.seconds = seconds
        self._window_seconds = window_seconds
        self._cap_bytes = cap_bytes
        # Connected or not. For a newcomer beyond it the one is forgotten that has been offline for
        # longest; history still has it.
        self._max_sentinels = bounds.sentinels
        # Those that are not known, never or not any more, are kept only while somebody waits for
        # them. Who follows one that is forgotten beyond it is told, and has to ask again.
        self._max_awaited = bounds.awaited_sentinels
        self._bounds = bounds
        self._streams: dict[str, Stream] = {}
        self._awaited: dict[str, Stream] = {}
        #: Those of them that are known to be offline, in the order in which they left, and since.
        self._offline: dict[str, float] = {}
        self._renewed_seconds = float("-inf")
        self._readers: dict[IFollower, None] = {}

    def remember(
        self, known: Iterable[tuple[Registration, int | None]], asked_seconds: float
    ) -> None:
        """List Sentinels that history knows, with the time of their last segment if any; those of
        whom it has nothing any more, and that are not connected, are listed no longer.

        Of more than there is room for, those that were last heard of. One that has come before this
        was known says better than history what it is, but is not forgotten when it leaves.

        :param asked_seconds: when history was asked: it does not know what was recorded since.
        """
        others, gone = [], {one for one, left in self._offline.items() if left < asked_seconds}
        for one in known:
            gone.discard(one[0].sentinel_id)
            stream = self._streams.get(one[0].sentinel_id)
            if stream is None:
                others.append(one)
            else:
                stream.has_history = True
        for sentinel_id in gone:
            self._forget(sentinel_id)
        others.sort(key=lambda one: one[1] or 0)
        left_since, self._offline = self._offline, {}
        room = max(0, self._max_sentinels - len(self._streams))
        for registration, last_time_us in others[len(others) - min(room, len(others)) :]:
            stream = self._new_stream(registration.sentinel_id)
            stream.name, stream.group = registration.name, registration.group
            stream.last_segment_time_us, stream.has_history = last_time_us, True
            self._offline[registration.sentinel_id] = asked_seconds
        self._offline.update(left_since)
        self._publish()

    def claim(self, registration: Registration, publisher: IPublisher) -> Deferred[Stream]:
        """Take a Sentinel's place; fires with its stream once it has it.

        The same process again takes over at once. Another process only if the older
        connection does not answer a ping: two machines with one id must not evict each other
        for ever, but a half-open connection must not keep its own Sentinel out either. A claim
        that is cancelled while the ping is out leaves everything as it was.

        :raises IdInUse: if the older connection is alive.
        :raises NoResources: if there is no room for one more Sentinel.
        """
        stream = self._streams.get(registration.sentinel_id)
        if stream is None:
            if len(self._streams) >= self._max_sentinels and not self._make_room():
                return fail(NoResources(f"{self._max_sentinels} sentinels are connected already"))
            stream = self._new_stream(registration.sentinel_id)
        rival = stream.publisher
        if rival is None or rival.registration.instance_id == registration.instance_id:
            return succeed(self._seat(stream, registration, publisher))
        self._log.info(
            "{sentinel} registers a second time, from another process; probing the first",
            sentinel=registration.sentinel_id,
        )
        found = stream

        def decide(is_alive: bool) -> Deferred[Stream]:
            if found.publisher is rival and is_alive:
                return fail(self._clone(rival, publisher))
            if found.publisher is not rival:
                return self.claim(registration, publisher)
            return succeed(self._seat(found, registration, publisher))

        answer: Deferred[bool] = rival.probe(PROBE_SECONDS)
        return answer.addCallback(decide)

    def stream(self, sentinel_id: str) -> Stream | None:
        """The stream of a known Sentinel, connected or not; None if never seen."""
        return self._streams.get(sentinel_id)

    def expect(self, sentinel_id: str) -> Stream:
        """The stream of a Sentinel, known or not; :meth:`dismiss` has to follow.

        :raises NotFound: if it was never seen, and too many such are waited for.
        """
        stream = self._streams.get(sentinel_id) or self._awaited.get(sentinel_id)
        if stream is None:
            if len(self._awaited) >= self._max_awaited:
                raise NotFound(
                    f"no sentinel {sentinel_id} is known, and {self._max_awaited} that were never"
                    " seen are waited for already"
                )
            stream = self._awaited[sentinel_id] = self._make_stream(sentinel_id)
        return stream

    def dismiss(self, stream: Stream) -> None:
        """Forget a stream that was never published, once nobody follows it any more."""
        if not stream.is_known and not stream.is_followed:
            self._awaited.pop(stream.sentinel_id, None)

    def statuses(self) -> tuple[SentinelStatus, ...]:
        """A row of every known Sentinel as of now, by id."""
        return tuple(self._streams[name].status() for name in sorted(self._streams))

    def warn(self, error: VidlinkError) -> None:
        """Tell every Proctor of something that is about no Sentinel; no more than twice a
        minute, so it may be said as long as it lasts."""
        if self.alarms.sound("", error) is not None:
            self._stir()

    def alarm(self, sentinel_id: str, error: VidlinkError) -> None:
        """Tell every Proctor of something about a Sentinel, and the log; no more than twice a
        minute about the same."""
        withheld = self.alarms.sound(sentinel_id, error)
        if withheld is not None:
            self._log.warn(
                "{alarm}{since}", sentinel=sentinel_id, alarm=error, since=repeated(withheld)
            )
            self._stir()

    def read_list(self, reader: IFollower) -> None:
        """`reader` is stirred whenever the roster has a new version, and at every alarm; twice is
        once."""
        self._readers[reader] = None

    def leave_list(self, reader: IFollower) -> None:
        """`reader` is not stirred any more; does nothing if it was not reading."""
        self._readers.pop(reader, None)

    def tick(self) -> None:
        """Move windows and states on, and publish the list; to be called about once a second."""
        for stream in self._streams.values():
            stream.tick()
        self._see_who_left()
        self._publish()

    def _see_who_left(self) -> None:
        """Note who is offline, and forget those that have left nothing behind."""
        for stream in tuple(self._streams.values()):
            is_here = stream.publisher is not None or stream.live is not None
            if is_here or stream.sentinel_id in self._offline:
                continue
            if stream.has_history:
                self._offline[stream.sentinel_id] = self.seconds()
            else:
                self._forget(stream.sentinel_id)

    def _make_room(self) -> bool:
        """Forget who has been offline for longest; False if nobody is."""
        if not self._offline:
            self._see_who_left()
        if self._offline:
            self._forget(next(iter(self._offline)))
        return len(self._streams) < self._max_sentinels

    def _forget(self, sentinel_id: str) -> None:
        self._offline.pop(sentinel_id, None)
        stream = self._streams.pop(sentinel_id)
        stream.let_go()
        self.roster.forget(sentinel_id)
        if len(self._awaited) >= self._max_awaited:
            stream.drop()
        elif stream.is_followed:
            self._awaited[sentinel_id] = stream

    def _publish(self) -> None:
        is_new = self.roster.publish(stream.status() for stream in self._streams.values())
        now = self.seconds()
        if now - self._renewed_seconds >= RENEWAL_SECONDS and self.roster.renew():
            self._renewed_seconds, is_new = now, True
        if is_new:
            self._stir()

    def _clone(self, rival: IPublisher, publisher: IPublisher) -> IdInUse:
        """The refusal of a second Sentinel with an id, of which people have to hear.

        They are told both addresses; whoever is refused learns nothing of the other one.
        """
        sentinel_id = rival.registration.sentinel_id
        alarm = IdInUse(
            f"two machines use the id {sentinel_id}: {rival.address} has it,"
            f" {publisher.address} is refused"
        )
        self.alarm(sentinel_id, alarm)
        return IdInUse(f"another live sentinel is registered as {sentinel_id}")

    def _stir(self) -> None:
        for reader in tuple(self._readers):
            reader.stirred()

    def _seat(self, stream: Stream, registration: Registration, publisher: IPublisher) -> Stream:
        rival = stream.publisher
        if rival is not None:
            rival.replace()
        self._offline.pop(stream.sentinel_id, None)
        stream.attach(registration, publisher)
        return stream

    def _new_stream(self, sentinel_id: str) -> Stream:
        """Make a Sentinel known; those who have waited for it follow it already."""
        stream = self._awaited.pop(sentinel_id, None) or self._make_stream(sentinel_id)
        stream.is_known = True
        self._streams[sentinel_id] = stream
        return stream

    def _make_stream(self, sentinel_id: str) -> Stream:
        return Stream(
            sentinel_id,
            self.seconds,
            lambda: Buffer(self._window_seconds, self._cap_bytes, self.budget),
            self._bounds,
        )
