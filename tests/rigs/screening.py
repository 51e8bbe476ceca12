"""Films in every layout that is allowed, recorded by a real server, and which picture each of them
has to show when: what players are asked for is in `players`.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Protocol

from tests.rigs.daemons import Site, until
from tests.rigs.foreign import EACH_FRAME, EACH_INTERVAL, Film, Piece, Recorded, film, send
from tests.rigs.sentinel import LiveSentinel
from vidlink.fmp4 import write_fragment
from vidlink.messages import Tail
from vidlink.model import EncodedFrame, InitSegment
from vidlink.sentinel.capture.capture import Capture
from vidlink.sentinel.capture.encoders import SOFTWARE, EncoderSettings
from vidlink.sentinel.sources.pattern import PatternSource

_KEYFRAME_SECONDS = 10.0


class Player(Protocol):
    """A player: see `tests.rigs.players`."""

    name: str
    shows_what_begins: bool

    def shown(self, url: str, times: Sequence[float]) -> list[int | None]:
        """The number of the picture at each of `times`, in seconds; None if none can be read."""


@dataclass(frozen=True, slots=True)
class Showing:
    """A film at `url`: each picture with the second from which on it is shown, ascending.

    :param length: in seconds; the last picture is shown until then.
    """

    url: str
    pictures: tuple[tuple[float, int], ...]
    length: float

    def places(self, count: int, shows_what_begins: bool) -> list[tuple[float, int]]:
        """So many times to and fro, and the picture to be shown at each; the same at each call.

        :param shows_what_begins: True for a player that is asked for the next picture to begin.
        """
        random = Random(self.url.rpartition("/")[2] + str(len(self.pictures)))
        ends = [*(begin for begin, _ in self.pictures[1:]), self.length]
        middles = [
            ((begin + end) / 2, number)
            for (begin, number), end in zip(self.pictures, ends, strict=True)
        ]
        if shows_what_begins:
            after = [number for _, number in self.pictures[1:]]
            begun = [(place, number) for (place, _), number in zip(middles, after, strict=False)]
            middles = [(0.0, self.pictures[0][1]), *begun]
        chosen = random.choices(middles, k=count - 2)
        chosen.insert(count // 3, middles[0])
        chosen.insert(count // 2, middles[-1])
        return chosen

    def wrong(self, player: Player, count: int) -> list[tuple[float, int | None, int]]:
        """The seeks of so many after which `player` shows another picture: the time, the number
        of the picture that is shown, and of that which should be."""
        places = self.places(count, player.shows_what_begins)
        shown = player.shown(self.url, [seconds for seconds, _ in places])
        return [
            (round(seconds, 3), number, wanted)
            for (seconds, wanted), number in zip(places, shown, strict=True)
            if number != wanted
        ]

    def at(self, seconds: float) -> int:
        """The number of the picture that is shown at a time."""
        place = bisect_right([begin for begin, _ in self.pictures], seconds) - 1
        return self.pictures[place][1]

    @property
    def longest(self) -> tuple[float, float, int]:
        """The picture that is shown for longest: from when to when, and its number."""
        ends = [*(begin for begin, _ in self.pictures[1:]), self.length]
        shown = [
            (end - begin, begin, number)
            for (begin, number), end in zip(self.pictures, ends, strict=True)
        ]
        seconds, begin, number = max(shown)
        return begin, begin + seconds, number


@dataclass(frozen=True, slots=True)
class Layout:
    """A way in which segments may be laid out, as a film and how it is recorded.

    :param make: gives the film.
    :param lacks: the numbers of the pieces that are never sent.
    :param is_reordered: True if pictures are shown in another order than they are sent in.
    :param is_in_parts: True if it is recorded by a server that is killed again and again.
    :param is_live: True if its Sentinel stays, and may send more.
    """

    make: Callable[[], Film]
    lacks: range = range(0)
    is_reordered: bool = False
    is_in_parts: bool = False
    is_live: bool = False

    def pictures(self, made: Film) -> tuple[tuple[float, int], ...]:
        """The pictures of the recorded film, each with the second from which on it is shown."""
        if self.is_reordered or made.frames > len(made.pieces):
            times = [number / made.rate for number in range(made.frames)]
        else:
            times = [piece.media_time / made.timescale for piece in made.pieces]
        return tuple((times[number], number) for number in self._decodable(made))

    def _decodable(self, made: Film) -> Iterator[int]:
        """The numbers of the pictures that need nothing which was not sent."""
        begin, is_whole = 0, False
        for number, piece in enumerate(made.pieces):
            is_whole = number not in self.lacks and (is_whole or piece.is_keyframe)
            if is_whole:
                yield from range(begin, begin + piece.frames)
            begin += piece.frames


def own_film(seconds: float, rate: float, *rates: float) -> Film:
    """The film of our own Sentinel: its cadence, encoder and boxes, at synthetic times that are a
    little early or late; `rates` are what it is asked for, at equal intervals."""
    random, now = Random(rate), 0.0
    began_us = time.time_ns() // 1_000 - round((seconds + 1) * 1_000_000)
    frames: list[EncodedFrame] = []
    inits: list[bytes] = []
    capture = Capture(
        PatternSource("own", 320, 176, lambda: began_us + round(now * 1e6)),
        EncoderSettings(SOFTWARE).open,
        framerate_mhz=round(rate * 1_000),
        keyframe_interval_seconds=_KEYFRAME_SECONDS,
        on_init=lambda init: inits.append(init.data),
        on_frame=frames.append,
        on_trouble=print,
        call_in_reactor=lambda call, *words: call(*words),
        monotonic=lambda: now,
        wall_clock_us=lambda: began_us + round(now * 1e6),
    )
    capture.begin_session()
    asked = list(rates)
    while now < seconds:
        if asked and now > seconds * (1 - len(asked) / (len(rates) + 1)):
            capture.set_framerate(round(asked.pop(0) * 1_000))
        if not capture.step():
            now += 0.005 + 0.01 * random.random()
    pieces = (_own_piece(number, frame) for number, frame in enumerate(frames))
    return Film(inits[0], 90_000, rate, began_us, tuple(pieces))


def _own_piece(number: int, frame: EncodedFrame) -> Piece:
    data = write_fragment(
        sequence=number,
        decode_time=frame.media_time,
        duration=frame.duration,
        keyframe=frame.is_keyframe,
        data=frame.data,
        producer_time_us=frame.start_time_us,
    )
    return Piece(data, frame.media_time, frame.duration, 1, frame.is_keyframe)


def _with_event(made: Film) -> Film:
    """`made` with an `emsg` in each segment, before what else stands there (23009-1, 5.10.3.3)."""
    body = bytes(4) + b"urn:a\0b\0" + bytes(16)
    box = (8 + len(body)).to_bytes(4, "big") + b"emsg" + body
    return replace(
        made, pieces=tuple(replace(piece, data=box + piece.data) for piece in made.pieces)
    )


_SECONDS = 40
_DASH = "dash+" + EACH_FRAME
_PRFT = ("-write_prft", "wallclock")
_IN_BAND = ("-tag:v", "avc3", "-bsf:v", "dump_extra=freq=keyframe")

#: Every layout by its name.
LAYOUTS: Mapping[str, Layout] = {
    "own-5fps": Layout(lambda: own_film(60, 5)),
    "own-0.2fps": Layout(lambda: own_film(200, 0.2)),
    "own-changing-rate": Layout(lambda: own_film(60, 5, 0.5, 3)),
    "moof-mdat": Layout(lambda: film(_SECONDS, gop=20)),
    "styp-sidx-emsg": Layout(lambda: _with_event(film(_SECONDS, gop=20, movflags=_DASH))),
    "styp-sidx-prft": Layout(lambda: film(_SECONDS, gop=20, movflags=_DASH, more=_PRFT)),
    "b-frames": Layout(lambda: film(_SECONDS, gop=20, bframes=2), is_reordered=True),
    "b-frames-negative": Layout(
        lambda: film(_SECONDS, gop=20, bframes=2, movflags=EACH_FRAME + "+negative_cts_offsets"),
        is_reordered=True,
    ),
    "1s-segments": Layout(lambda: film(_SECONDS, gop=5, movflags=EACH_INTERVAL)),
    "4s-segments": Layout(lambda: film(_SECONDS, gop=20, movflags=EACH_INTERVAL)),
    "4s-b-frames": Layout(lambda: film(_SECONDS, gop=20, bframes=3, movflags=EACH_INTERVAL)),
    "hole": Layout(lambda: own_film(45, 5), lacks=range(57, 118)),
    "b-frames-hole": Layout(
        lambda: film(_SECONDS, gop=20, bframes=2, movflags=EACH_INTERVAL), lacks=range(3, 6)
    ),
    "three-parts": Layout(lambda: film(_SECONDS, gop=20), is_in_parts=True),
    "parameters-in-band": Layout(lambda: film(_SECONDS, gop=20, more=_IN_BAND)),
    "live": Layout(lambda: own_film(30, 5), is_live=True),
}


class Theatre:
    """A server with the films of all layouts, each recorded when it is first asked for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._server = site.start_server()
        self._recorded: dict[str, tuple[Film, Recorded]] = {}
        self._live: list[LiveSentinel] = []

    def whole(self, name: str) -> Showing:
        """The whole of a layout's film."""
        made, recorded = self._record(name)
        last = made.pieces[-1]
        length = (last.media_time + last.ticks) / made.timescale
        url = f"{self.site.url}{recorded.path}/recording.mp4"
        return Showing(url, LAYOUTS[name].pictures(made), length)

    def clip(self, name: str) -> Showing:
        """A range of it that begins and ends in the middle of a picture, between keyframes.

        :raises AssertionError: if it begins with another picture than was asked for.
        """
        made, recorded = self._record(name)
        whole = self.whole(name)
        count = len(whole.pictures)
        (one, first), (other, _) = whole.pictures[count // 7 : count // 7 + 2]
        begin, end = (one + other) / 2, whole.pictures[count * 6 // 7][0] + 0.05
        path = f"{recorded.path}/recording.mp4?start={made.began_us + round(begin * 1e6)}"
        path += f"&end={made.began_us + round(end * 1e6)}"
        zero = (int(self.site.get(path)[1]["VidLink-Start"]) - made.began_us) / 1e6
        if whole.at(zero + 0.001) != first:
            raise AssertionError(f"it begins with {whole.at(zero + 0.001)} instead of {first}")
        pictures = [
            (max(0.0, at - zero), number)
            for at, number in whole.pictures
            if number >= first and at < end
        ]
        return Showing(self.site.url + path, tuple(pictures), end - zero)

    def _record(self, name: str) -> tuple[Film, Recorded]:
        if name not in self._recorded:
            layout = LAYOUTS[name]
            made = layout.make()
            send = self._in_three_parts if layout.is_in_parts else self._at_once
            recorded = send(made, name, layout)
            if not layout.is_live:
                until(lambda: self._record_of(recorded)["state"] != "live", what="it has ended")
            self._recorded[name] = made, recorded
        return self._recorded[name]

    def _at_once(self, made: Film, sentinel_id: str, layout: Layout) -> Recorded:
        numbers = [number for number in range(len(made.pieces)) if number not in layout.lacks]
        sentinel = send(self.site, made, sentinel_id, numbers=numbers)
        if layout.is_live:
            self._live.append(sentinel)
        else:
            sentinel.close()
        return Recorded(sentinel_id, sentinel.session_id)

    def _record_of(self, recorded: Recorded) -> Any:
        return self.site.get_json(recorded.path)

    def _in_three_parts(self, made: Film, sentinel_id: str, layout: Layout) -> Recorded:
        """Record `made` by a server that is killed twice; what is late comes from the end on."""
        fourth, count = len(made.pieces) // 4, len(made.pieces)
        recorded = Recorded(sentinel_id, "a-session-in-three-parts")
        rounds = (
            [*range(fourth), *range(3 * fourth, count)],
            [*range(2 * fourth, 3 * fourth)],
            [*range(fourth, 2 * fourth)],
        )
        for place, numbers in enumerate(rounds):
            sentinel = self._connect_again(made, recorded, place)
            for number in numbers:
                segment = made.segment(number, sentinel_id, recorded.session_id)
                sentinel.say(replace(segment, is_late=place > 0))
            sentinel.acknowledged(recorded.session_id, (fourth, fourth, count)[place] - 1)
            until(partial(self._is_durable, recorded, numbers), what="all of it is on the disk")
            sentinel.close()
        parts = list(self.site.data.glob(f"**/{recorded.session_id}/part-*.mp4"))
        assert len(parts) == 3, parts
        return recorded

    def _connect_again(self, made: Film, recorded: Recorded, place: int) -> LiveSentinel:
        """A Sentinel that has sent the initialization segment: of the live session in the first
        place, and after that, to a server that was killed, of an earlier one."""
        sentinel_id, session_id = recorded.sentinel_id, recorded.session_id
        if place == 0:
            sentinel = LiveSentinel(self.site.ws, sentinel_id, session_id)
        else:
            self._server.kill()
            self._server = self.site.start_server()
            tail = Tail(session_id, 0, len(made.pieces) - 1)
            sentinel = LiveSentinel(self.site.ws, sentinel_id, f"another-session-{place}", tail)
        sentinel.say(InitSegment(sentinel_id, session_id, made.init, is_late=place > 0))
        return sentinel

    def _is_durable(self, recorded: Recorded, numbers: Sequence[int]) -> bool:
        """True if these segments can be had and will not change any more."""
        path = f"{recorded.path}/segments/{numbers[-1]}"
        status, headers, _ = self.site.get(path)
        return status == 200 and "immutable" in headers["Cache-Control"]
