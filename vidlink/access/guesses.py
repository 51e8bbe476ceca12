"""The bound on guessing: passwords are checked one after another, those of strangers last.

A check costs 0.3 s of a processor, so that whoever asks for many could keep everybody out. One
thread does them; who waits is served in the order of how often their address has guessed wrong
lately, so that a flood of guesses stands behind everybody who types a password once, and a whole
school behind one address stands behind nobody but its own mistakes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from vidlink.errors import TooManyTries

#: Checks that may wait in all, and of one address.
MOST_WAITING, MOST_WAITING_EACH = 256, 64
#: Wrong guesses of one address, or for one name, after which the next is refused, ...
MOST_WRONG = 100
#: ... and the time in which one of them is forgiven.
FORGIVEN_SECONDS = 6.0
#: Addresses and names that are remembered; the one that has been quiet longest is forgotten.
MOST_REMEMBERED = 10_000


@dataclass(order=True, slots=True)
class _Waiting:
    wrong: int
    number: int
    address: str = field(compare=False)
    work: Callable[[], Deferred[bool]] = field(compare=False)
    answer: Deferred[bool] = field(compare=False)


class Guesses:
    """The checks that wait, one at a time being made, and who has guessed wrong how often.

    :param seconds: the monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._is_busy = False
        #: For each address and each name: wrong guesses, and when they were counted.
        self._wrong: dict[str, tuple[float, float]] = {}

    def check(self, address: str, name: str, work: Callable[[], Deferred[bool]]) -> Deferred[bool]:
        """Do `work`, which fires with whether a password is right, when it is its turn.

        :raises TooManyTries: if too many were wrong from there or for that name, or too many wait;
            at once, or out of the Deferred.
        """
        keys = (f"address {address}", f"name {name}")
        wrong = max(self._count(key) for key in keys)
        each = sum(1 for one in self._waiting if one.address == address)
        if wrong >= MOST_WRONG or each >= MOST_WAITING_EACH:
            raise TooManyTries("too many passwords were tried; wait for a minute")
        if len(self._waiting) >= MOST_WAITING and not self._gives_way(wrong):
            raise TooManyTries("too many passwords wait to be checked; wait for a minute")
        self._number += 1
        answer: Deferred[bool] = Deferred()
        heapq.heappush(self._waiting, _Waiting(int(wrong), self._number, address, work, answer))
        answer.addCallback(self._learn, keys)
        self._next()
        return answer

    def _gives_way(self, wrong: float) -> bool:
        """Refuse the last of those that wait, if it has guessed wrong more often."""
        last = max(self._waiting)
        if last.wrong <= wrong:
            return False
        self._waiting.remove(last)
        heapq.heapify(self._waiting)
        last.answer.errback(TooManyTries("too many passwords wait to be checked"))
        return True

    def _next(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        one = heapq.heappop(self._waiting)

        def done(outcome: Any) -> None:
            self._is_busy = False
            one.answer.callback(outcome)
            self._next()

        maybeDeferred(one.work).addBoth(done)

    def _learn(self, is_right: bool, keys: tuple[str, ...]) -> bool:
        if not is_right:
            for key in keys:
                count = self._count(key) + 1
                self._wrong.pop(key, None)
                self._wrong[key] = count, self._seconds()
            while len(self._wrong) > MOST_REMEMBERED:
                del self._wrong[next(iter(self._wrong))]
        return is_right

    def _count(self, key: str) -> float:
        count, then = self._wrong.get(key, (0.0, 0.0))
        return max(0.0, count - (self._seconds() - then) / FORGIVEN_SECONDS)
