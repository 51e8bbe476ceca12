"""All streams together: who publishes, who follows, and the rule for two Sentinels with one id.

One of them is :mod:`vidlink.relay.stream`; their list is :mod:`vidlink.relay.roster`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from vidlink.errors import IdInUse, NoResources, VidlinkError
from vidlink.interfaces import IFollower, IPublisher
from vidlink.model import Registration, SentinelStatus
from vidlink.relay.alarms import Alarms
from vidlink.relay.buffer import Budget, Buffer
from vidlink.relay.roster import Roster
from vidlink.relay.stream import Stream
from vidlink.relay.tally import Tally

#: The time that the older of two Sentinels with one id has to show that it is alive.
PROBE_SECONDS = 2.0
#: Sentinels remembered, connected or not; a newcomer beyond it is refused.
MAX_SENTINELS = 20_000


class Hub:
    """The server's live state.

    :param seconds: the monotonic clock.
    :param window_seconds: what every memory buffer keeps.
    :param cap_bytes: the most one memory buffer holds.
    :param total_bytes: the most all of them hold together.
    """

    _log = Logger()

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        window_seconds: float = 20.0,
        cap_bytes: int = 64 * 1024 * 1024,
        total_bytes: int = 2 * 1024 * 1024 * 1024,
        max_sentinels: int = MAX_SENTINELS,
    ) -> None:
        self.roster = Roster()
        self.alarms = Alarms(seconds)
        self.tally = Tally()
        self.budget = Budget(total_bytes)
        self._seconds = seconds
        self._window_seconds = window_seconds
        self._cap_bytes = cap_bytes
        self._max_sentinels = max_sentinels
        self._streams: dict[str, Stream] = {}
        self._readers: dict[IFollower, None] = {}

    def remember(self, known: Iterable[tuple[Registration, int | None]]) -> None:
        """List Sentinels that history knows, with the time of their last segment if any."""
        for registration, last_time_us in known:
            if registration.sentinel_id not in self._streams:
                stream = self._new_stream(registration.sentinel_id)
                stream.name, stream.group = registration.name, registration.group
                stream.last_segment_time_us = last_time_us
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
            if len(self._streams) >= self._max_sentinels:
                return fail(NoResources(f"{self._max_sentinels} sentinels are known already"))
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
                return fail(self._clone(registration.sentinel_id))
            if found.publisher is not rival:
                return self.claim(registration, publisher)
            return succeed(self._seat(found, registration, publisher))

        answer: Deferred[bool] = rival.probe(PROBE_SECONDS)
        return answer.addCallback(decide)

    def stream(self, sentinel_id: str) -> Stream | None:
        """The stream of a known Sentinel, connected or not; None if never seen."""
        return self._streams.get(sentinel_id)

    def statuses(self) -> tuple[SentinelStatus, ...]:
        """A row of every known Sentinel as of now, by id."""
        return tuple(self._streams[name].status() for name in sorted(self._streams))

    def warn(self, error: VidlinkError) -> None:
        """Tell every Proctor of something that is about no Sentinel; no more than twice a
        minute, so it may be said as long as it lasts."""
        if self.alarms.sound("", error) is not None:
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
        self._publish()

    def _publish(self) -> None:
        if self.roster.publish(stream.status() for stream in self._streams.values()):
            self._stir()

    def _clone(self, sentinel_id: str) -> IdInUse:
        """The refusal of a second Sentinel with an id, of which people have to hear."""
        error = IdInUse(f"another live sentinel is registered as {sentinel_id}")
        withheld = self.alarms.sound(sentinel_id, error)
        if withheld is not None:
            self._log.warn(
                "two machines use the id {sentinel}: the second one is refused"
                " ({withheld} times more since this was last said)",
                sentinel=sentinel_id,
                withheld=withheld,
            )
            self._stir()
        return error

    def _stir(self) -> None:
        for reader in tuple(self._readers):
            reader.stirred()

    def _seat(self, stream: Stream, registration: Registration, publisher: IPublisher) -> Stream:
        rival = stream.publisher
        if rival is not None:
            rival.replace()
        stream.attach(registration, publisher)
        return stream

    def _new_stream(self, sentinel_id: str) -> Stream:
        stream = self._streams[sentinel_id] = Stream(
            sentinel_id,
            self._seconds,
            lambda: Buffer(self._window_seconds, self._cap_bytes, self.budget),
        )
        return stream
