"""``vidlink rehearse``: a load test in the box, and a verdict on this machine or on a server.

The server, and the load, are processes of their own (:mod:`vidlink.commands.serving`,
:mod:`vidlink.commands.load`), so that what each of them costs is told apart.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any, ClassVar
from urllib.parse import urlsplit

from twisted.internet.threads import deferToThread

from vidlink.client import History, open_history
from vidlink.commands.demo import usable_port
from vidlink.daemon import wall_clock_us
from vidlink.dialling.address import PROCTOR_PATH, read_address
from vidlink.dialling.token import read_token_file
from vidlink.dialling.trust import Trust
from vidlink.errors import UserMistake
from vidlink.loadtest import machine, telling
from vidlink.loadtest.course import spawn
from vidlink.loadtest.elsewhere import check_rights, enrol, left_there
from vidlink.loadtest.film import Film
from vidlink.loadtest.plan import STREAMS, Place, Screen
from vidlink.loadtest.stage import ServerProcess, Stage, make_folder
from vidlink.loadtest.trial import Wish, try_out
from vidlink.loadtest.verdict import Findings, Settings, judge
from vidlink.model import MAX_FRAMERATE_MHZ, MIN_FRAMERATE_MHZ, USUAL
from vidlink.quantities import count, size
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.output import tell
from vidlink.terminal.progress import StatusLine
from vidlink.terminal.running import complain, run_in_reactor
from vidlink.terminal.words import moment

COMMAND = "vidlink rehearse"
MAX_PROCTORS, MAX_MINUTES = 1_000, 60
#: A server takes three descriptors for each screen, and some for itself.
_EACH_SCREEN, _ITSELF = 3, 100
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    longdesc = (
        "Tries out how many screens this machine carries: starts a server of its own, that only "
        "this machine can reach, with screens and proctors that are made up, and says whether "
        "they fit, and what would break first at which size. Nothing of it stays. With --server "
        "it is another server that is tried out; what is recorded there stays until it is "
        "deleted. Status 0: it fits; 2: it does not; 3: that cannot be said, because the "
        "machine was busy with other things or the load was too slow; 1: it could not be tried."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["screens", "n", "300", "How many screens."],
        ["fps", None, "5", "Frames a second of each, 0.2 to 5."],
        ["proctors", "p", "10", f"How many proctors, who watch {STREAMS} screens each."],
        ["minutes", "m", "1", "How long it is measured; fractions are possible."],
        ["data", "d", "vidlink-data", "Where recordings would be: the disk that is tried out."],
        ["enrol-token-file", None, None, "With --server: the token of a room for the screens."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["json", None, "Print the result as one JSON object."],
        ["yes", "y", "With --server: do not ask."],
    ]

    def __init__(self) -> None:
        super().__init__()
        # A variable that names the server of every day is no wish to load it.
        self["server"] = self.defaults["server"] = None
        self.docs["server"] = "Try out this server, which runs, and not one of its own."

    def postOptions(self) -> None:
        """Check the numbers, and what goes with what."""
        self.number("screens", int, 1, USUAL.sentinels)
        self.number("fps", float, MIN_FRAMERATE_MHZ / 1_000, MAX_FRAMERATE_MHZ / 1_000)
        self.number("proctors", int, 0, MAX_PROCTORS)
        self.number("minutes", float, 0.02, MAX_MINUTES)
        if self["server"] is None:
            for name in ("ca", "pin", "token-file", "enrol-token-file"):
                if self[name] is not None:
                    raise UserMistake(f"--{name} goes with --server")

    @property
    def wish(self) -> Wish:
        """The load that is wished for."""
        seconds = self["minutes"] * 60
        return Wish(self["screens"], self["fps"], self["proctors"], seconds)


def run(options: Options) -> int:
    """Try it out; the exit status.

    :raises VidlinkError: if it cannot be tried.
    """
    if options["server"] is not None:
        return run_in_reactor(lambda reactor: at_another(options, reactor))
    return run_in_reactor(lambda reactor: with_own_server(options, reactor))


async def with_own_server(options: Options, reactor: Any) -> int:
    """Try out a server that is started for it, and removed with all that it has recorded."""
    _check_descriptors(_EACH_SCREEN * options["screens"] + options["proctors"])
    line = _line(reactor)
    film = await _film(options, line)
    most_bytes = options.wish.recorded_bytes(film)
    folder = make_folder(options["data"], most_bytes)
    line.say(f"up to {size(most_bytes)} are written to {folder}, which is removed at the end")
    server = ServerProcess()
    try:
        available_bytes = machine.available_bytes()
        rate = await deferToThread(_disk_rate, folder)
        port = usable_port(0)
        address = f"http://127.0.0.1:{port}"
        spawn(reactor, server, "vidlink.commands.serving", str(port), folder)
        history = open_history(address, reactor)
        await server.answers(history, reactor)
        stage = Stage(
            Place(address),
            _screens(options, {}),
            history,
            server.check,
            is_here=True,
            disk_rate=rate,
            available_bytes=available_bytes,
            settings=_settings(),
        )
        found = await try_out(options.wish, stage, film, reactor, line)
        await history.close()
        return _tell(options, found)
    finally:
        if server.transport is not None:
            await server.stop(reactor)
        shutil.rmtree(folder, ignore_errors=True)


async def at_another(options: Options, reactor: Any) -> int:
    """Try out a server that runs, if somebody agrees."""
    _check_descriptors(options["screens"] + options["proctors"])
    shown, server, room = options.shown(reactor), options["server"], options["enrol-token-file"]
    secret = None if room is None else read_token_file(room, lambda text: complain(COMMAND, text))
    history, line = open_history(server, reactor, **shown), _line(reactor)
    try:
        await check_rights(history, options.wish.ids, options["proctors"], room is not None)
        film = await _film(options, line)
        _ask(options, film)
        ca, pin = options["ca"], options["pin"]
        place = Place(server, ca, pin, shown["token"], shown["can_go_plain"])
        tokens: dict[str, str] = {}
        try:
            if secret is not None:
                room_history = open_history(server, reactor, **{**shown, "token": secret})
                tokens = await _enrolled(options, room_history, line)
            stage = Stage(
                place,
                _screens(options, tokens),
                history,
                lambda: None,
                is_here=_is_here(server, reactor, options.trust()),
            )
            return _tell(options, await try_out(options.wish, stage, film, reactor, line))
        finally:
            # By then all of it has ended.
            before = moment(wall_clock_us() + 60_000_000)
            for text in left_there(options.wish.ids, place, before, bool(tokens)):
                line.say(text)
    finally:
        await history.close()


async def _enrolled(options: Options, history: History, line: StatusLine) -> dict[str, str]:
    try:
        return await enrol(history, options.wish.ids, line.show)
    finally:
        line.wipe()
        await history.close()


def _is_here(server: str, reactor: Any, trust: Trust) -> bool:
    where = read_address(server, reactor, PROCTOR_PATH, trust)
    return urlsplit(where.base_url).hostname in _LOOPBACK


def _screens(options: Options, tokens: dict[str, str]) -> list[Screen]:
    return [Screen(number, one, tokens.get(one)) for number, one in enumerate(options.wish.ids)]


def _settings() -> Settings:
    """The settings that a server has unless told otherwise."""
    from vidlink.server import tap

    usual = tap.Options()
    return Settings(
        float(usual["buffer-seconds"]), int(usual["buffer-total-bytes"]), usual["limit"].sentinels
    )


def _tell(options: Options, found: Findings) -> int:
    """Tell the verdict; the exit status."""
    verdict = judge(found)
    if options["json"]:
        tell(json.dumps(telling.plain(found, verdict)))
    else:
        for text in telling.lines(found, verdict):
            tell(text)
    return verdict.status


def _line(reactor: Any) -> StatusLine:
    return StatusLine(sys.stderr, reactor.seconds, sys.stderr.isatty())


async def _film(options: Options, line: StatusLine) -> Film:
    from vidlink.loadtest.page import shoot

    line.say("drawing what the screens show")
    film: Film = await deferToThread(shoot, options["fps"])
    return film


def _check_descriptors(least: int) -> None:
    """See that one process can have so many descriptors, and some for itself.

    :raises UserMistake: if it cannot.
    """
    from vidlink.server.service import raise_descriptor_limit

    least, most = _ITSELF + least, raise_descriptor_limit()
    if least > most:
        raise UserMistake(
            f"so many screens take {least:,} descriptors in one process, and one may have "
            f"{most:,}; raise that (ulimit -Hn), or give fewer --screens"
        )


def _disk_rate(folder: str) -> float:
    try:
        return machine.disk_rate(folder)
    except OSError as error:
        raise UserMistake(f"{folder} cannot be written to: {error.strerror}") from None


def _ask(options: Options, film: Film) -> None:
    """Have somebody agree that recordings are made on a server that is not one's own.

    :raises UserMistake: if nobody does.
    """
    first, last = options.wish.ids[0], options.wish.ids[-1]
    told = (
        f"{count(options['screens'], 'recording')}, {first} to {last}, about "
        f"{size(options.wish.recorded_bytes(film))}, will be made at {options['server']} and stay "
        "there until they are deleted"
    )
    if options["yes"]:
        complain(COMMAND, told)
        return
    if not sys.stdin.isatty():
        raise UserMistake(f"{told}; give --yes if this is meant")
    print(f"{told}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserMistake("nothing was done")
