"""A call that happens later, unless it is put off or called off."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """At most one call that is due."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None
        #: Nothing is kept that is not due: what it would call holds this timer in most cases.
        self._act: Callable[[], None] | None = None

    @property
    def is_running(self) -> bool:
        """True while a call is due."""
        return self._call is not None and self._call.active()

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in so many seconds; what was due before is called off."""
        self._act = call
        if self._call is not None and self._call.active():
            # A call that is put off costs next to nothing.
            self._call.reset(seconds)
        else:
            self._call = self._clock.callLater(seconds, self._fire)

    def stop(self) -> None:
        """Call off what is due, if anything is."""
        call, self._call, self._act = self._call, None, None
        if call is not None and call.active():
            call.cancel()

    def _fire(self) -> None:
        act, self._act = self._act, None
        if act is not None:
            act()
