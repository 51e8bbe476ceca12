"""``twistd vidlink-server``: its options, and which classes it is made of.

It is one idea: the one place that knows every class and puts them together.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from ipaddress import ip_address
from typing import Any

from twisted.application import strports
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web.resource import IResource

from vidlink.access.credentials import VOUCHED, Credentials
from vidlink.access.elsewhere import checker
from vidlink.access.gate import Gate
from vidlink.access.register import Register
from vidlink.audit.files import AuditFiles
from vidlink.audit.trail import OPERATOR, SERVER, Trail
from vidlink.daemon import (
    awake_clock,
    elapsed_clock,
    prepare,
    sleep_clock,
    wall_clock_us,
)
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.model import USUAL, Bounds, Deed, Policy
from vidlink.options import or_exit
from vidlink.plugins import find_codecs
from vidlink.quantities import figure
from vidlink.relay.hub import Hub
from vidlink.server.health.collecting import Collecting
from vidlink.server.health.health import Health
from vidlink.server.health.memory import Memory, trimmer
from vidlink.server.health.metrics import Metrics
from vidlink.server.limits import with_limit
from vidlink.server.oidc import OidcOptions, returning
from vidlink.server.port.assets import Assets
from vidlink.server.port.exposure import (
    Listening,
    check_endpoint,
    check_exposure,
    for_its_group,
)
from vidlink.server.port.held import Held
from vidlink.server.port.lobby import Lobby
from vidlink.server.port.origin import Hosts, machine_names
from vidlink.server.port.site import NOT_TAKEN, Root, Site, is_own, principal_of, ticket_of
from vidlink.server.port.tls import TlsContext
from vidlink.server.port.upgrade import SocketResource
from vidlink.server.service import (
    COMMAND,
    TICK_SECONDS,
    ServerService,
    raise_descriptor_limit,
)
from vidlink.server.sockets.ingest import IngestFactory
from vidlink.server.sockets.inlet import Inlet
from vidlink.server.sockets.link import LinkFactory
from vidlink.server.sockets.turnend import TurnEnd
from vidlink.server.sockets.watch import WatchFactory
from vidlink.store import RecordingStore
from vidlink.store.store import QUEUE_BYTES

_log = Logger()

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
#: So many connections may wait to be accepted: a whole room comes back at once.
BACKLOG = 1024
HANDSHAKE_SECONDS = 5


class _Durability(Enum):
    DISK = "disk"
    OS = "os"


class _Transport(Enum):
    DIRECT = "direct"
    STOCK = "stock"


_RETAIN = (
    ("retain-days", float, 36_500),
    ("retain-bytes", int, 2**60),
    ("min-free-bytes", int, 2**60),
)
_DAY_US = 24 * 60 * 60 * 1_000_000

#: So long a thread of Python may go on while another one waits.
_SWITCH_SECONDS = 0.0005


class Options(OidcOptions):
    """The options of the daemon."""

    command = COMMAND
    longdesc = (
        "Receives live screens from sentinels, keeps the last seconds of each in memory, "
        "records everything, and shows it to proctors: the page, the history and both "
        "WebSockets share one port."
    )
    optParameters = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["data", "d", "vidlink-data", "Folder for the recordings; made if it is not there."],
        ["durability", None, "disk", "disk: acknowledged survives a power cut; os: a crash only."],
        ["retain-days", None, None, "Delete sessions that ended so many days ago."],
        ["retain-bytes", None, None, "Delete the oldest above so many octets of recordings."],
        ["min-free-bytes", None, None, "Delete the oldest when the disk has less room than that."],
        ["scrub-days", None, "30", "Check all that is recorded within so many days; 0: do not."],
        ["buffer-seconds", None, "20", "How much of each stream is kept in memory."],
        ["buffer-bytes", None, "67108864", "The most memory one stream may take."],
        ["buffer-total-bytes", None, "2147483648", "The most memory all streams may take."],
        ["queue-bytes", None, str(QUEUE_BYTES), "The most that may wait for the disk."],
        [
            "transport",
            None,
            "direct",
            "direct: whole messages pass Autobahn by; stock: none does.",
        ],
        [
            "turn-ms",
            None,
            "3",
            "While messages come, the loop turns once in this time; 0: at once.",
        ],
    ]
    optFlags = [  # noqa: RUF012
        [
            "no-auth",
            None,
            "Let everybody in who can reach the port, whoever it is, to watch and to control.",
        ],
        ["retain-dry-run", None, "Only say in the log what would be deleted."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["allow-origin"] = []
        self["proxy"] = []
        self["auth"] = []
        self["limit"] = USUAL

    def opt_listen(self, endpoint: str) -> None:
        """Endpoint to listen on; repeatable. [default: tcp:8080:interface=127.0.0.1]"""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def opt_allow_origin(self, origin: str) -> None:
        """Another origin whose pages may connect, https://exam.example; repeatable."""
        self["allow-origin"].append(origin)

    def opt_proxy(self, address: str) -> None:
        """Address of a proxy before the server, or unix: believed when it says who came to it
        (X-Forwarded-For, X-Forwarded-Proto); repeatable."""
        try:
            self["proxy"].append(address if address == "unix" else str(ip_address(address)))
        except ValueError:
            text = f"--proxy takes an address such as 10.0.0.1, or unix, not {address!r}"
            raise UserMistake(text) from None

    def opt_auth(self, description: str) -> None:
        """Who knows passwords of users without one here: file:PATH, unix, ...; repeatable. With it
        nobody is let in who does not log in, or show a token."""
        self["auth"].append(checker(description))

    def opt_limit(self, text: str) -> None:
        """One of the limits, such as guesses-per-place=600; repeatable. The names: --limit help"""
        self["limit"] = with_limit(self["limit"], text)

    def postOptions(self) -> None:
        """Check what can be checked before anything is started."""
        self.number("scrub-days", float, 0, 36_500)
        self.number("buffer-seconds", float, 1, 3600)
        self.number("buffer-bytes", int, 1024 * 1024, 2**40)
        self.number("buffer-total-bytes", int, 1024 * 1024, 2**44)
        self.number("queue-bytes", int, 1024 * 1024, 2**44)
        self.word("durability", _Durability)
        self.word("transport", _Transport)
        self.number("turn-ms", float, 0, 5)
        for name, kind, most in _RETAIN:
            if self[name] is not None:
                self.number(name, kind, 0, most)
        for name, unit_us in (("retain-days", _DAY_US), ("retain-bytes", 1)):
            if self[name] is not None and int(self[name] * unit_us) == 0:
                raise UserMistake(
                    f"--{name} {figure(self[name])} would delete every recording that is over; to "
                    f"keep them for ever, leave --{name} out"
                )
        self["listen"] = self["listen"] or [DEFAULT_LISTEN]
        super().postOptions()


def warn_that_open(listen: list[str]) -> None:
    """Say who is let in."""
    _log.warn(
        "no credentials are asked for: everybody who can reach {where} may watch and control",
        where=", ".join(listen),
    )


def makeService(options: Options) -> ServerService:
    """The whole daemon; a wrong value ends the process with one line."""
    service: ServerService = or_exit(COMMAND, lambda: _assemble(options))
    return service


def _assemble(options: Options) -> ServerService:
    from twisted.internet import reactor

    # Klein brings in a reactor of its own choice unless there is one already.
    from vidlink.server.api.access import Access
    from vidlink.server.api.enrolling import Enrolling
    from vidlink.server.api.fast_path import fast_path
    from vidlink.server.api.history import Api
    from vidlink.server.api.oidc import Oidc
    from vidlink.server.api.openapi import document
    from vidlink.server.api.probes import Probes

    clock: Any = reactor
    bounds: Bounds = options["limit"]
    # A thread of the pool that computes lets what is live go on after this time; after 5 ms unless
    # told otherwise, and one segment asks for that some ten times.
    sys.setswitchinterval(_SWITCH_SECONDS)
    prepare(clock)
    for description in options["listen"]:
        check_endpoint(description, clock)
    listening = [Listening.parse(description) for description in options["listen"]]
    run_in_pool = partial(_run_in_pool, clock)
    register = Register(Credentials(options["data"]), now_us=wall_clock_us, run_in_pool=run_in_pool)
    register.load()
    is_open = _openness(options, listening, register)
    gate = Gate(
        register,
        clock,
        now_us=wall_clock_us,
        run_in_pool=run_in_pool,
        checkers=options["auth"],
        is_open=is_open,
        bounds=bounds,
    )
    hosts = _hosts(listening, options["allow-origin"])
    elapsed = elapsed_clock()
    hub = Hub(
        elapsed,
        window_seconds=options["buffer-seconds"],
        cap_bytes=options["buffer-bytes"],
        total_bytes=options["buffer-total-bytes"],
        bounds=bounds,
    )
    store = _store(options, clock)
    share_bytes = options["buffer-total-bytes"] // bounds.memory_share
    most_held = max(bounds.memory_least_bytes, share_bytes)
    halves, answers = Held(most_held), Held(most_held, NOT_TAKEN)
    # Before anything counts on it, and the store takes its share.
    lobby = Lobby(clock, raise_descriptor_limit(bounds.descriptors), bounds)
    links: dict[str, Any] = {
        "codecs": find_codecs(),
        "clock": clock,
        "gate": gate,
        "halves": halves,
        "lobby": lobby,
        "bounds": bounds,
        "turn_end": TurnEnd(clock, options["turn-ms"] / 1_000),
        "is_direct": options["transport"] is _Transport.DIRECT,
    }
    inlet = Inlet(clock, bounds.sockets_per_turn)
    ingest = IngestFactory(hub, store.ledger, wall_clock_us, **links, inlet=inlet)
    files = AuditFiles(
        options["data"], Disk(), is_flushed=options["durability"] is _Durability.DISK
    )
    trail = Trail(files, seconds=clock.seconds, now_us=wall_clock_us, run_in_pool=run_in_pool)
    register.did = partial(_note_credentials, trail)
    gate.did = trail.note
    watch = WatchFactory(hub, wall_clock_us, **links, did=trail.note)
    api = Api(
        store.archive,
        hub,
        store.keeping,
        document=document(),
        wall_clock_us=wall_clock_us,
        principal_of=principal_of,
        did=trail.note,
        ticket_of=ticket_of,
        run_in_pool=run_in_pool,
    )
    health = Health(
        store,
        store.archive,
        hub,
        clock.seconds,
        tick_seconds=TICK_SECONDS,
        min_free_bytes=kept_free(options),
        audit_trouble=lambda: trail.trouble,
    )
    collecting = Collecting(hub.seconds, lambda: hub.tally.segments)
    metrics = Metrics(
        hub,
        store,
        health,
        watch.links,
        turned_away=lambda: lobby.turned_away,
        half_bytes=lambda: halves.held_bytes,
        collecting=collecting,
    )
    probes = Probes(health, metrics)
    access = Access(
        gate,
        principal_of=principal_of,
        is_own=is_own,
        trail=trail,
        enrolling=Enrolling(register, hub, wall_clock_us),
    )
    oidc = Oidc(returning(options, clock, wall_clock_us, bounds), gate, is_own=is_own, trail=trail)
    root = Root(
        api.resource(),
        access.resource(),
        probes.resource(),
        Assets.load(),
        link_resource(ingest),
        link_resource(watch),
        oidc.resource(),
    )
    proxies = frozenset(options["proxy"])
    site = Site(
        root,
        clock=clock,
        hosts=hosts,
        gate=gate,
        proxies=proxies,
        bounds=bounds,
        lobby=lobby,
        answers=answers,
        fast_path=fast_path(api),
    )
    made = [_port(place, site, clock) for place in listening]
    ports, contexts = [port for port, _ in made], [one for _, one in made if one is not None]
    if is_open():
        clock.callWhenRunning(warn_that_open, options["listen"])
    slept = sleep_clock(elapsed, awake_clock())
    memory = Memory(lambda: hub.budget.used_bytes, trimmer())
    others = (store.scrub.tick, memory.tick, *(context.tick for context in contexts))
    ticks = (register.refresh, site.tick, *others)
    parts = hub, store, health, trail, ingest, watch, ports, clock, slept
    return ServerService(*parts, ticks=ticks, collecting=collecting)


def link_resource(factory: LinkFactory) -> IResource:
    """The resource at the path of `factory`, with Autobahn's own timers turned on."""
    factory.setProtocolOptions(
        openHandshakeTimeout=HANDSHAKE_SECONDS,
        # Without it, every call sets it to False.
        allowNullOrigin=True,
    )
    resource: IResource = SocketResource(factory)
    return resource


def _store(options: Options, clock: Any) -> RecordingStore:
    """The recording, not opened yet."""
    return RecordingStore(
        options["data"],
        durability=options["durability"].value,
        policy=policy_of(options),
        monotonic=time.monotonic,
        elapsed=elapsed_clock(),
        wall_clock_us=wall_clock_us,
        call_in_reactor=clock.callFromThread,
        run_in_pool=partial(_run_in_pool, clock),
        queue_bytes=options["queue-bytes"],
        scrub_days=options["scrub-days"],
    )


def _run_in_pool(clock: Any, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return deferToThreadPool(clock, clock.getThreadPool(), work, *arguments)


def policy_of(options: Options) -> Policy:
    """The policy that the options are."""
    days = options["retain-days"]
    return Policy(
        max_age_us=None if days is None else int(days * _DAY_US),
        max_bytes=options["retain-bytes"],
        min_free_bytes=options["min-free-bytes"],
        is_rehearsal=bool(options["retain-dry-run"]),
    )


def kept_free(options: Options) -> int | None:
    """The room in octets that deleting keeps on the disk; a rehearsal keeps none."""
    policy = policy_of(options)
    return None if policy.is_rehearsal else policy.min_free_bytes


def _openness(
    options: Options, listening: Sequence[Listening], register: Register
) -> Callable[[], bool]:
    """A look at whether everybody is let in: if the operator says so; and on a machine of one's
    own, until the first credential is made, unless the operator says who knows who may come in.

    :raises UserMistake: if nobody could be let in.
    """
    if options["no-auth"]:
        return lambda: True
    if options["oidc"] is not None:
        return lambda: False
    if register.is_empty:
        check_exposure(listening, options["data"], options["proxy"])
    if options["auth"]:
        if register.is_empty:
            _log.warn(
                "nobody can log in yet: --auth knows passwords, and there is no user; make one "
                "with 'vidlink user add NAME --no-password --role administrator --data {data}'",
                data=options["data"],
            )
        return lambda: False
    # Of one that is removed again whoever had it must not be better off than before.
    return lambda: not register.is_begun


def _note_credentials(trail: Trail, **about: str) -> None:
    """Write down that credentials were changed, and by whom: what a provider says, we write."""
    is_ours = about.get("user", "").startswith(VOUCHED) and about["how"] != "removed"
    trail.note(Deed.CREDENTIALS, SERVER if is_ours else OPERATOR, "", **about)


def _hosts(listening: Sequence[Listening], allowed_origins: Iterable[str]) -> Hosts:
    """Whose requests are answered."""
    is_for_others = not all(place.is_loopback for place in listening)
    own_names = machine_names() if is_for_others else ()
    if is_for_others:
        _log.info(
            "answers to addresses and to these names: {names}; add others with --allow-origin",
            names=", ".join(sorted({"localhost", *own_names})),
        )
    return Hosts(listening, allowed_origins, own_names)


def _port(
    place: Listening, site: IProtocolFactory, clock: Any
) -> tuple[IService, TlsContext | None]:
    """The service that listens there, and what renews its certificate.

    :raises UserMistake: if the certificate cannot be used.
    """
    description = place.description
    lacks_backlog = re.match("(tcp6?|ssl):", description) and ":backlog=" not in description
    endpoint = f"{description}:backlog={BACKLOG}" if lacks_backlog else for_its_group(description)
    service = strports.service(endpoint, site, reactor=clock)
    if not place.tls:
        return service, None
    run_in_pool = partial(_run_in_pool, clock)
    context = TlsContext(*place.tls, seconds=clock.seconds, run_in_pool=run_in_pool)
    # Twisted's own has the files as they were at the start, for ever.
    service.endpoint = SSL4ServerEndpoint(
        clock, place.port or 0, context, backlog=BACKLOG, interface=place.interface
    )
    return service, context
