"""The plan of a load process: which screens and proctors it is, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from vidlink.loadtest.film import Film

#: A proctor watches so many screens, if there are so many.
STREAMS = 30


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen, the `number`-th of all: what it is called, and the token that it shows."""

    number: int
    sentinel_id: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The server: its address as it was typed, whom to believe over TLS, and what proctors show."""

    server: str
    ca: str | None = None
    pin: str | None = None
    token: str | None = None
    can_go_plain: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one load process has to know.

    `count` is the number of all screens, of which `screens` are its own; `proctors` are the ids
    that each of its proctors watches; `viewers` how many proctors, wherever they are, watch each
    of its screens. `zero_us` is the wall clock at 0 of the monotonic clock, one for all processes.
    """

    place: Place
    count: int
    screens: Sequence[Screen]
    viewers: Sequence[int]
    proctors: Sequence[Sequence[str]]
    framerate_mhz: int
    film: Film
    zero_us: int

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        screens = [asdict(screen) for screen in self.screens]
        return {**plain, "place": asdict(self.place), "screens": screens, "film": self.film.plain()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`plain` has told of."""
        return cls(
            **{
                **plain,
                "place": Place(**plain["place"]),
                "screens": [Screen(**screen) for screen in plain["screens"]],
                "film": Film.of_plain(plain["film"]),
            }
        )


def shared_out(
    place: Place,
    screens: Sequence[Screen],
    proctors: int,
    framerate_mhz: int,
    film: Film,
    zero_us: int,
    processes: int,
) -> list[Plan]:
    """A plan for each of so many processes; proctors begin where the one before them ends, and
    from the first screen on again."""
    count = len(screens)
    streams = min(STREAMS, count)
    watched = [
        [(first * streams + one) % count for one in range(streams)] for first in range(proctors)
    ]
    viewers = [0] * count
    for numbers in watched:
        for number in numbers:
            viewers[number] += 1
    ids = [[screens[number].sentinel_id for number in numbers] for numbers in watched]
    return [
        Plan(
            place=place,
            count=count,
            screens=screens[first::processes],
            viewers=viewers[first::processes],
            proctors=ids[first::processes],
            framerate_mhz=framerate_mhz,
            film=film,
            zero_us=zero_us,
        )
        for first in range(processes)
    ]
