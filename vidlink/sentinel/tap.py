"""``twistd vidlink-sentinel``: its options, and which classes it is made of.

It is one idea: the one place that knows every class and puts them together.
"""

from __future__ import annotations

import os
import platform
import random
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from twisted.logger import Logger

import vidlink
from vidlink.client.history import history_at
from vidlink.daemon import (
    awake_clock,
    elapsed_clock,
    prepare,
    sleep_clock,
    steady_clock,
    wall_clock_us,
)
from vidlink.dialling.address import Address, read_address
from vidlink.dialling.backoff import BackOff
from vidlink.dialling.token import VARIABLE, read_token_file, token_source
from vidlink.dialling.trust import read_trust
from vidlink.errors import NotAuthenticated, Unsendable, UserMistake
from vidlink.httpjson.objects import Enrolled
from vidlink.interfaces import ICodec, ISpool
from vidlink.links.uplink.conversation import Uplink
from vidlink.messages import SentinelRegister
from vidlink.model import MAX_FRAMERATE_MHZ, MIN_FRAMERATE_MHZ, Registration, is_sentinel_id
from vidlink.options import OneLineOptions, or_exit
from vidlink.plugins import find_codecs
from vidlink.sentinel.capture.capture import Capture
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.enrolment import Enrolment
from vidlink.sentinel.machine import this_machine
from vidlink.sentinel.service import SentinelService
from vidlink.sentinel.sources.choice import SOURCES, make_source
from vidlink.sentinel.spool.memory import SPOOL_BYTES, MemorySpool
from vidlink.sentinel.uplink import UplinkFactory
from vidlink.sentinel.uplink_log import UplinkLog

_log = Logger()

COMMAND = "twistd vidlink-sentinel"
HANDSHAKE_SECONDS = 10
#: A smaller spool would not hold a few frames, nor what is on its way.
MIN_SPOOL_BYTES = 4 * 1024 * 1024
#: The folder of a token of this machine's own, unless told otherwise.
STATE = "vidlink-state"


class IdFrom(Enum):
    """The source of an id that nobody has chosen."""

    HOST = "host"
    MAC = "mac"


class Options(OneLineOptions):
    """The options of a Sentinel."""

    command = COMMAND
    longdesc = (
        "Captures this computer's screen, encodes it as H.264, and sends it to the VidLink "
        "server, for ever: a connection that breaks is made again."
    )
    optParameters = [  # noqa: RUF012  # the form that twisted.python.usage reads
        [
            "server",
            "s",
            "ws://127.0.0.1:8080",
            "The server: ws://HOST:PORT, wss://HOST, or a client endpoint string.",
        ],
        [
            "ca",
            None,
            None,
            "Believe over TLS who has a certificate that is in this file, or below.",
        ],
        ["pin", None, None, "Believe over TLS who has the certificate of this fingerprint."],
        ["id", "i", None, "What this sentinel is called, such as desk-12; else see --id-from."],
        ["id-from", None, "host", "Without --id: host, this machine's name, or mac, its address."],
        ["name", None, None, "A name for people; else the id is shown."],
        ["group", None, None, "A group for people, such as a room."],
        ["source", None, "screen", f"What is captured: {SOURCES}."],
        ["fps", "f", "5", "Frames a second, 0.2 to 5."],
        ["max-size", None, "1920x1080", "Larger pictures are scaled down to fit."],
        ["encoder", None, "auto", "An H.264 encoder of FFmpeg, such as libx264 or h264_nvenc."],
        ["bitrate", None, "4000", "Upper bound in kilobits a second, averaged over some seconds."],
        ["keyframe-interval", None, "10", "Seconds between keyframes, at most."],
        ["spool", None, None, "A folder for what the server has not yet; else it is in memory."],
        ["spool-bytes", None, None, "How much of that is kept: 64 MiB in memory, 4 GiB on disk."],
        [
            "token-file",
            None,
            None,
            "A file with the token that the server knows this sentinel by, read at each "
            f"connection. The variable {VARIABLE} may hold the token instead.",
        ],
        [
            "enrol-token-file",
            None,
            None,
            "A file with the token of a room, for which this machine is given one of its own.",
        ],
        ["state", None, None, f"The folder where that one is kept; {STATE} if not said."],
        ["format", None, "binary", "How messages are written: binary, cbor, protobuf or json."],
    ]

    optFlags = [  # noqa: RUF012
        ["plain-token", None, "Show the token also where it goes over a network in the clear."],
    ]

    def postOptions(self) -> None:
        """Check what can be checked before anything is started."""
        if self["id"] is None:
            self["id"] = _own_id(self.word("id-from", IdFrom))
        if not is_sentinel_id(self["id"]):
            raise UserMistake(
                "--id takes 1 to 64 letters, digits, dots, dashes and underscores, "
                f"beginning with a letter or digit, not {self['id']!r}"
            )
        if self["enrol-token-file"] and self["token-file"]:
            raise UserMistake("give --token-file or --enrol-token-file, not both")
        if self["state"] is not None and not self["enrol-token-file"]:
            raise UserMistake(
                "--state is where a token is kept that --enrol-token-file has got; give both, or "
                "leave --state out"
            )
        self["state"] = self["state"] or STATE
        self.number("fps", float, MIN_FRAMERATE_MHZ / 1000, MAX_FRAMERATE_MHZ / 1000)
        self.number("bitrate", int, 50, 100_000)
        self.number("keyframe-interval", float, 0.2, 3600)
        if self["spool"] == "":
            raise UserMistake("--spool takes a folder, not ''; without it memory is used")
        if self["spool-bytes"] is not None:
            self.number("spool-bytes", int, MIN_SPOOL_BYTES, 1 << 50)
        size = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", self["max-size"], re.ASCII)
        if size is None or min(int(size[1]), int(size[2])) < 16:
            raise UserMistake(f"--max-size takes WIDTHxHEIGHT, not {self['max-size']!r}")
        self["max-size"] = int(size[1]), int(size[2])


def _own_id(source: IdFrom) -> str:
    """The id that this machine has by itself.

    :raises UserMistake: if it has none.
    """
    machine = this_machine()
    found = machine.name if source is IdFrom.HOST else machine.mac.replace(":", "-")
    if not is_sentinel_id(found):
        what = "name" if source is IdFrom.HOST else "MAC address"
        raise UserMistake(
            f"this machine has no {what} that tells it from others{f' ({found!r})' * bool(found)}; "
            "say with --id what it is called"
        )
    return found


def identity(options: Options, codec: ICodec) -> Registration:
    """The name of this process: the id it was given, and an instance of its own.

    :raises UserMistake: if the name or the group cannot be sent.
    """
    software = _software()
    instance = secrets.token_urlsafe(18)
    name, group = options["name"] or "", options["group"] or ""
    try:
        codec.encode(SentinelRegister(options["id"], instance, software, instance, name, group))
    except Unsendable as error:
        raise UserMistake(f"--name or --group cannot be used: {error}") from None
    return Registration(options["id"], instance, name, group, software)


def _software() -> str:
    return f"vidlink/{vidlink.__version__} ({platform.system()})"


def makeService(options: Options) -> SentinelService:
    """The whole daemon; a wrong value ends the process with one line."""
    service: SentinelService = or_exit(COMMAND, lambda: _assemble(options))
    return service


def _assemble(options: Options) -> SentinelService:
    from twisted.internet import reactor

    clock: Any = reactor
    prepare(clock)
    codec = _codec(options["format"])
    trust = read_trust(options["ca"], options["pin"])
    address = read_address(options["server"], clock, trust=trust)
    enrolment = _enrolment(options, address, clock) if options["enrol-token-file"] else None
    shown = _shown(options, address, enrolment)
    back_off = BackOff(random.random)
    events = UplinkLog(address.url, back_off)
    elapsed = elapsed_clock()
    now_us = steady_clock(wall_clock_us, elapsed)
    capture = Capture(
        _source(options),
        _encoder_settings(options).open,
        framerate_mhz=round(options["fps"] * 1000),
        keyframe_interval_seconds=options["keyframe-interval"],
        on_init=lambda init: uplink.initialized(init.data),
        on_frame=lambda frame: uplink.encoded(frame),
        on_trouble=events.on_trouble,
        call_in_reactor=clock.callFromThread,
        monotonic=elapsed,
        wall_clock_us=now_us,
        slept_seconds=sleep_clock(elapsed, awake_clock()),
    )
    who = identity(options, codec)
    if enrolment is not None:
        who = replace(who, sentinel_id=enrolment.sentinel_id)
    uplink = Uplink(
        who,
        capture,
        events,
        spool=make_spool(options, events.on_trouble, clock),
        clock=clock,
        wall_clock_us=now_us,
    )
    if enrolment is not None:
        enrolment.became = uplink.rename
    factory = UplinkFactory(address.url, uplink, codec, back_off, clock, shown, enrolment)
    factory.setProtocolOptions(openHandshakeTimeout=HANDSHAKE_SECONDS)
    return SentinelService(capture, address, factory, back_off, clock)


def _enrolment(options: Options, address: Address, reactor: Any) -> Enrolment:
    """The token of this machine's own, kept or still to be had.

    :raises UserMistake: if it is to be had and cannot be.
    """
    machine, path = this_machine().fingerprint, os.path.abspath(options["enrol-token-file"])

    def shown() -> Mapping[str, str]:
        can_go_plain = bool(options["plain-token"])
        return address.headers(read_token_file(path), can_go_plain=can_go_plain)

    async def ask() -> Enrolled:
        history = history_at(address, reactor, shown())
        try:
            return await history.enrol(options["id"], machine, _software())
        except NotAuthenticated:
            raise NotAuthenticated(f"the token in {path} is not valid, or not any more") from None
        finally:
            await history.close()

    found = Enrolment(
        options["state"],
        server=address.base_url,
        asked_id=options["id"],
        machine=machine,
        ask=ask,
    )
    if found.token is None:
        read_token_file(path, lambda line: _log.warn("{line}", line=line))
        shown()
    return found


def _shown(
    options: Options, address: Address, enrolment: Enrolment | None
) -> Callable[[], Mapping[str, str]]:
    """A look at what shows the server who we are, now.

    :raises UserMistake: if that cannot be shown; found out now, while somebody is looking.
    """
    if enrolment is not None:
        if os.environ.get(VARIABLE):
            _log.warn(
                "{variable} is not used, as --enrol-token-file is given; to be known by that "
                "token leave the option out, or else unset the variable",
                variable=VARIABLE,
            )
        token: Callable[[], str | None] = lambda: enrolment.token  # noqa: E731
    else:
        token = token_source(
            options["token-file"], os.environ, lambda line: _log.warn("{line}", line=line)
        )
    can_go_plain = bool(options["plain-token"])

    def look() -> Mapping[str, str]:
        return address.headers(token(), can_go_plain=can_go_plain)

    look()
    return look


def make_spool(options: Options, on_trouble: Callable[[str], object], reactor: Any) -> ISpool:
    """The spool that is asked for: a folder, or memory.

    :raises UserMistake: if the folder cannot be used.
    """
    if options["spool"] is None:
        size_bytes = options["spool-bytes"] or SPOOL_BYTES
        return MemorySpool(size_bytes, on_trouble, monotonic=awake_clock())
    try:
        from vidlink.sentinel.spool.opening import MOST_BYTES, open_spool
    except ImportError as error:  # Windows has no locks as these
        raise UserMistake(f"--spool does not work on this system ({error}); do without") from error
    return open_spool(
        options["spool"],
        options["id"],
        most_bytes=options["spool-bytes"] or MOST_BYTES,
        monotonic=awake_clock(),
        call_in_reactor=reactor.callFromThread,
        call_when_running=reactor.callWhenRunning,
        on_trouble=on_trouble,
    )


def _source(options: Options) -> ISource:
    """The source that is asked for.

    :raises UserMistake: if it cannot be opened; found out now, while somebody is looking.
    """
    source = make_source(
        options["source"],
        sentinel_id=options["id"],
        platform=sys.platform,
        environ=os.environ,
        wall_clock_us=wall_clock_us,
        monotonic=awake_clock(),
        slept_seconds=sleep_clock(elapsed_clock(), awake_clock()),
    )
    source.open()
    source.close()
    return source


def _codec(name: str) -> ICodec:
    codecs = {codec.name.rpartition(".")[2]: codec for codec in find_codecs()}
    if name not in codecs:
        raise UserMistake(f"--format takes {' or '.join(sorted(codecs))}, not {name!r}")
    return codecs[name]


def _encoder_settings(options: Options) -> EncoderSettings:
    width, height = options["max-size"]
    settings = EncoderSettings(
        name=options["encoder"],
        max_width=width,
        max_height=height,
        bits_per_second=options["bitrate"] * 1000,
    )
    settings.check()
    return settings
