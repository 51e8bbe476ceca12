"""``twistd vidlink-server``: its options, and which classes it is made of."""

from __future__ import annotations

import re
import time
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.application import strports
from twisted.application.service import IService
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web.resource import IResource

from vidlink.daemon import prepare, wall_clock_us
from vidlink.errors import UserMistake
from vidlink.options import OneLineOptions, or_exit
from vidlink.plugins import find_codecs
from vidlink.relay.hub import Hub
from vidlink.server.assets import Page
from vidlink.server.exposure import Listening, check_exposure
from vidlink.server.health import Health
from vidlink.server.ingest import IngestFactory
from vidlink.server.link import LinkFactory
from vidlink.server.metrics import Metrics
from vidlink.server.origin import Hosts
from vidlink.server.service import COMMAND, TICK_SECONDS, ServerService
from vidlink.server.site import build_root, make_site
from vidlink.server.watch import WatchFactory
from vidlink.store import RecordingStore

_log = Logger()

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
#: How many connections may wait to be accepted: a whole room comes back at once.
BACKLOG = 1024
HANDSHAKE_SECONDS = 5


class Options(OneLineOptions):
    """What the operator may choose."""

    command = COMMAND
    longdesc = (
        "Receives live screens from sentinels, keeps the last seconds of each in memory, "
        "records everything, and shows it to proctors: the page, the history and both "
        "WebSockets share one port."
    )
    optParameters = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["data", "d", "vidlink-data", "Folder for the recordings; made if it is not there."],
        ["buffer-seconds", None, "20", "How much of each stream is kept in memory."],
        ["buffer-bytes", None, "67108864", "The most memory one stream may take."],
        ["buffer-total-bytes", None, "2147483648", "The most memory all streams may take."],
    ]
    optFlags = [  # noqa: RUF012
        [
            "no-auth",
            None,
            "Let everybody in who can reach the port, although it is not only this machine.",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["allow-origin"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Endpoint to listen on; repeatable. [default: tcp:8080:interface=127.0.0.1]"""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def opt_allow_origin(self, origin: str) -> None:
        """Another origin whose pages may connect, https://exam.example; repeatable."""
        self["allow-origin"].append(origin)

    def postOptions(self) -> None:
        """Check what can be checked before anything is started."""
        self.number("buffer-seconds", float, 1, 3600)
        self.number("buffer-bytes", int, 1024 * 1024, 2**40)
        self.number("buffer-total-bytes", int, 1024 * 1024, 2**44)
        self["listen"] = self["listen"] or [DEFAULT_LISTEN]


def warn_that_open(listen: list[str]) -> None:
    """Say who is let in."""
    _log.warn(
        "there are no credentials: everybody who can reach {where} may watch and control",
        where=", ".join(listen),
    )


def makeService(options: Options) -> ServerService:
    """The whole daemon; a wrong value ends the process with one line."""
    service: ServerService = or_exit(COMMAND, lambda: _assemble(options))
    return service


def _assemble(options: Options) -> ServerService:
    from twisted.internet import reactor

    # Klein brings in a reactor of its own choice unless there is one already.
    from vidlink.server.history import History
    from vidlink.server.vitals import Vitals

    clock: Any = reactor
    prepare(clock)
    hosts = _hosts(options)
    hub = Hub(
        clock.seconds,
        window_seconds=options["buffer-seconds"],
        cap_bytes=options["buffer-bytes"],
        total_bytes=options["buffer-total-bytes"],
    )
    store = _store(options, clock)
    link: dict[str, Any] = {"codecs": find_codecs(), "clock": clock}
    ingest = IngestFactory(hub, store, wall_clock_us, **link)
    watch = WatchFactory(hub, wall_clock_us, **link)
    health = Health(store, hub, clock.seconds, tick_seconds=TICK_SECONDS)
    vitals = Vitals(health, Metrics(hub, store, health, watch.links))
    history = History(store, hub, wall_clock_us=wall_clock_us)
    root = build_root(history, vitals, Page.load(), link_resource(ingest), link_resource(watch))
    site = make_site(root, clock=clock, hosts=hosts)
    ports = [_port(description, site, clock) for description in options["listen"]]
    clock.callWhenRunning(warn_that_open, options["listen"])
    return ServerService(hub, store, health, ingest, watch, ports, clock)


def link_resource(factory: LinkFactory) -> IResource:
    """What is served at the path of `factory`, with Autobahn's own timers turned on."""
    factory.setProtocolOptions(
        openHandshakeTimeout=HANDSHAKE_SECONDS,
        # Without it, every call sets it to False.
        allowNullOrigin=True,
    )
    resource: IResource = WebSocketResource(factory)
    return resource


def _store(options: Options, clock: Any) -> RecordingStore:
    """The recording, not opened yet."""
    return RecordingStore(
        options["data"],
        monotonic=time.monotonic,
        wall_clock_us=wall_clock_us,
        call_in_reactor=clock.callFromThread,
        run_in_pool=lambda work, *arguments: deferToThreadPool(
            clock, clock.getThreadPool(), work, *arguments
        ),
    )


def _hosts(options: Options) -> Hosts:
    """Whose requests are answered, after checking that this may be without credentials."""
    check_exposure(options["listen"], options["no-auth"])
    listening = [Listening.parse(description) for description in options["listen"]]
    return Hosts(listening, options["allow-origin"])


def _port(description: str, site: IProtocolFactory, clock: Any) -> IService:
    """The service that listens there.

    :raises UserMistake: Twisted does not understand the endpoint.
    """
    lacks_backlog = re.match("(tcp6?|ssl):", description) and ":backlog=" not in description
    endpoint = f"{description}:backlog={BACKLOG}" if lacks_backlog else description
    try:
        return strports.service(endpoint, site, reactor=clock)
    except Exception as error:
        # Whatever an endpoint's parser thinks of: ValueError, TypeError, OSError of a key file.
        raise UserMistake(f"--listen {description!r} cannot be used: {error}") from None
