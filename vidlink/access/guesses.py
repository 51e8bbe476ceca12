"""The bound on guessing: passwords are checked one after another, those of strangers last.

A check costs 0.3 s of a processor, so that whoever asks for many could keep everybody out. One
thread does them; who waits is served in the order of how often their address has guessed wrong
lately, and one of each address in turn, so that a flood of guesses stands behind everybody who
types a password once, and a whole school behind one address behind nobody but its own mistakes.

Wrong guesses for a name count wherever they come from, as one name can be guessed at from a
thousand addresses. That must not lock its owner out: where a name has been let in before, only
what was guessed for that name at that address counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from vidlink.errors import TooManyTries
from vidlink.model import USUAL, Bounds

T = TypeVar("T")
#: Addresses, names and pairs that are remembered; the one that has been quiet longest is forgotten.
MOST_REMEMBERED = 30_000


@dataclass(slots=True, eq=False)
class _Waiting:
    address: str
    name: str
    #: The name has been let in at this address.
    is_known: bool
    work: Callable[[], Deferred[bool]]
    answer: Deferred[bool]


class Guesses:
    """The checks that wait, of which one at a time is made, or as many as are wanted; and who has
    guessed wrong how often.

    :param seconds: the monotonic clock.
    :param is_known: whether a name has been let in at an address, as far as is written down; what
        was let in here is known anyway.
    :param bounds: of the checks that wait, and of wrong guesses.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        is_known: Callable[[str, str], bool] = lambda name, address: False,
        bounds: Bounds = USUAL,
    ) -> None:
        self._seconds = seconds
        self._is_written = is_known
        self._bounds = bounds
        self._waiting: list[_Waiting] = []
        self._busy = 0
        #: For each address, each name and each pair: wrong guesses, and when they were counted.
        self._wrong: dict[tuple[str, str], tuple[float, float]] = {}
        #: The pairs that were let in, the one that was longest ago first.
        self._right: dict[tuple[str, str], None] = {}

    def check(self, address: str, name: str, work: Callable[[], Deferred[bool]]) -> Deferred[bool]:
        """Do `work`, which fires with whether a password is right, when it is its turn.

        :raises TooManyTries: if too many were wrong from there or for that name, or too many wait;
            at once, or out of the Deferred.
        """
        is_known = (address, name) in self._right or self._is_written(name, address)
        each = sum(1 for one in self._waiting if one.address == address)
        bounds = self._bounds
        is_flood = each >= bounds.waiting_passwords_per_place
        if is_flood or self._count(address, name, is_known) > bounds.guesses_per_place - 1:
            raise TooManyTries("too many passwords were tried; wait for a minute")
        answer: Deferred[bool] = Deferred()
        self._waiting.append(_Waiting(address, name, is_known, work, answer))
        answer.addCallback(self._learn, address, name, is_known)
        if len(self._waiting) > bounds.waiting_passwords:
            _, last = max(self._ranked(), key=itemgetter(0))
            self._waiting.remove(last)
            last.answer.errback(TooManyTries("too many passwords wait to be checked; wait a while"))
        self._next()
        return answer

    def _ranked(self) -> Iterator[tuple[tuple[bool, int, int, int], _Waiting]]:
        """Those that wait, each with its rank: the lowest is to be served first."""
        ahead: Counter[str] = Counter()
        for place, one in enumerate(self._waiting):
            wrong = int(self._count(one.address, one.name, one.is_known))
            yield (not one.is_known, wrong, ahead[one.address], place), one
            ahead[one.address] += 1

    def _next(self) -> None:
        if self._busy >= self._bounds.passwords_at_a_time or not self._waiting:
            return
        self._busy += 1
        _, one = min(self._ranked(), key=itemgetter(0))
        self._waiting.remove(one)
        # Others' turn.
        self._waiting.sort(key=lambda other: other.address == one.address)

        def done(outcome: Any) -> None:
            self._busy -= 1
            one.answer.callback(outcome)
            self._next()

        maybeDeferred(one.work).addBoth(done)

    def _learn(self, is_right: bool, address: str, name: str, is_known: bool) -> bool:
        pair = address, name
        if is_right:
            self._wrong.pop(pair, None)
            _put(self._right, pair, None)
            return True
        # Whoever mistypes their own password takes nothing from the others at that address.
        keys = (pair,) if is_known else (pair, (address, ""), ("", name))
        for key in keys:
            _put(self._wrong, key, (self._lately(key) + 1, self._seconds()))
        return False

    def _count(self, address: str, name: str, is_known: bool) -> float:
        """The wrong guesses that count against `name` at `address`."""
        if is_known:
            return self._lately((address, name))
        return max(self._lately((address, "")), self._lately(("", name)))

    def _lately(self, key: tuple[str, str]) -> float:
        count, then = self._wrong.get(key, (0.0, 0.0))
        return max(0.0, count - (self._seconds() - then) / self._bounds.seconds_per_guess)


def _put(known: dict[tuple[str, str], T], key: tuple[str, str], value: T) -> None:
    """Put `key` last in `known`, and forget the first if there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > MOST_REMEMBERED:
        del known[next(iter(known))]
