"""``vidlink watch``: one Sentinel, live, as a film on standard output for a player to read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred

from vidlink.client import Lost, OtherPicture, Splice, follow, open_history
from vidlink.commands.pipe import NobodyReads, Pipe
from vidlink.dialling.repeats import Repeats
from vidlink.errors import UserMistake, VidlinkError
from vidlink.messages import ErrorMessage, SessionEnded, Skipped, StartFrom, Subscribed
from vidlink.model import InitSegment, Segment, Tier
from vidlink.quantities import count
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.running import complain, run_in_reactor
from vidlink.terminal.words import SKIPPED, age, shown

COMMAND = "vidlink watch"
#: So much may wait for a player that is slow: the less, the sooner it is back at what is live.
MAX_WAITING_BYTES = 512 * 1024
MAX_SECONDS = 86_400 * 365
#: The exit status when the film cannot go on because the picture is another one.
OTHER_PICTURE = 3


Write = Callable[[bytes], Coroutine[Any, Any, None]]


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "SENTINEL [options] | PLAYER"
    longdesc = (
        "Writes the live picture of one sentinel to standard output as fragmented MP4, such as "
        "'vidlink watch desk-12 | mpv -'. A lost connection is made again, for ever. Ends with "
        "status 0 when the player does, and with 3 when the picture changes its size."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["tier", None, "full", "full: every picture; keyframes: keyframes only."],
        ["from", None, "latest", "Begin at the latest keyframe, or the oldest in memory."],
        ["seconds", None, "0", "End after so many seconds; 0: never."],
    ]

    def parseArgs(self, sentinel: str = "") -> None:
        """The sentinel."""
        self["sentinel"] = sentinel

    def postOptions(self) -> None:
        """Check all of it."""
        if not self["sentinel"]:
            raise UserMistake("say which sentinel; 'vidlink ls' lists them")
        self.check_names()
        self.number("seconds", float, 0, MAX_SECONDS)
        self.word("tier", Tier)
        self.word("from", StartFrom)


class Viewing:
    """The events of one Sentinel, written out as one film.

    :param events: what :class:`~vidlink.client.Follow` gives.
    :param write: writes octets, and returns when they are taken.
    :param say: tells the person something, on one line.
    :param seconds: the monotonic clock.
    """

    def __init__(
        self,
        events: Any,
        splice: Splice,
        write: Write,
        say: Callable[[str], None],
        seconds: Callable[[], float],
    ) -> None:
        self._events = events
        self._splice = splice
        self._write = write
        self._say = say
        self._repeats = Repeats(seconds)
        self._name = str(events.sentinel_id)
        self._is_waiting = False
        self.has_written = False

    async def run(self) -> int:
        """Go on for ever; returns only with a status of failure."""
        async for event in self._events:
            try:
                await self._act_on(event)
            except OtherPicture as end:
                self._say(f"{end}; a film cannot go on so: run the command again")
                return OTHER_PICTURE
        raise AssertionError("a follower has no end")

    async def _act_on(self, event: Any) -> None:
        match event:
            case Segment():
                await self._show(self._splice.add(event))
            case InitSegment():
                await self._write(self._splice.begin(event))
            case Skipped():
                number = count(event.last - event.first + 1, "picture")
                self._say(f"{number} not shown ({SKIPPED[event.reason]})")
            case Subscribed(session_id=None, is_known=False):
                self._wait(
                    "was never seen by the server ('vidlink ls' lists who was); waiting for it"
                )
            case Subscribed(session_id=None):
                self._wait("is offline; waiting for it")
            case SessionEnded():
                self._wait(f"is offline ({shown(event.reason)}); waiting for it")
            case Lost():
                line = self._repeats.told(str(event.error))
                if line:
                    self._say(f"{line}; trying again in {age(event.retry_seconds)}")
                self._is_waiting = True
            case ErrorMessage():
                self._say(f"the server says: {shown(event.message)}")

    async def _show(self, data: bytes) -> None:
        if not data:
            return
        if self._is_waiting:
            self._is_waiting = False
            self._repeats.clear()
            self._say(f"{self._name} is live")
        await self._write(data)
        self.has_written = True

    def _wait(self, why: str) -> None:
        if not self._is_waiting:
            self._say(f"{self._name} {why}")
        self._is_waiting = True


def run(options: Options) -> int:
    """Watch until the reader goes away, or the time is over; the exit status.

    :raises VidlinkError: if there is no server, or it does not want us.
    """
    if os.isatty(sys.stdout.fileno()):
        raise UserMistake(
            "standard output is a terminal; pipe it into a player, such as "
            f"'vidlink watch {options['sentinel']} | mpv -'"
        )
    return run_in_reactor(lambda reactor: watch(options, reactor))


async def watch(options: Options, reactor: Any) -> int:
    """The command in a reactor."""
    sentinel_id, server = options["sentinel"], options["server"]
    shown_to_it = options.shown(reactor)
    await _reach(open_history(server, reactor, **shown_to_it))
    followed = follow(
        sentinel_id,
        server,
        reactor,
        start_from=options["from"],
        tier=options["tier"],
        max_bytes=MAX_WAITING_BYTES,
        **shown_to_it,
    )
    pipe = Pipe(sys.stdout.fileno(), reactor)
    splice = Splice(options["tier"])
    viewing = Viewing(
        followed, splice, pipe.write, lambda text: complain(COMMAND, text), reactor.seconds
    )
    running = Deferred.fromCoroutine(viewing.run())
    pipe.closed.addCallback(lambda _: running.cancel())
    timer = reactor.callLater(options["seconds"], running.cancel) if options["seconds"] else None
    try:
        return await running
    except (NobodyReads, CancelledError):
        if timer is not None and not timer.active() and not viewing.has_written:
            raise VidlinkError(f"nothing came of {sentinel_id} in that time") from None
        return 0
    finally:
        if timer is not None and timer.active():
            timer.cancel()
        pipe.close()
        await followed.close()


async def _reach(history: Any) -> None:
    """Ask the server anything: one that is not there should be told of at once.

    :raises VidlinkError: if it does not answer, or not as one.
    """
    try:
        await history.sentinels()
    finally:
        await history.close()
