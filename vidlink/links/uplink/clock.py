"""The difference between the Sentinel's wall clock and the server's, from NTP's four stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from vidlink.messages import Clock

#: The time between two comparisons of the clocks.
CLOCK_SECONDS = 60.0
#: The correction moves by at most this part of the time that passes, so that the times of
#: successive segments never run backwards and never jump.
SLEW = 0.05
#: An answer that was under way for so much longer than the quickest says little: the network stood
#: still, or the computer slept. The question is asked again then.
DELAY_US = 1_000_000
#: The quickest of so many answers, and of so long: a network that was quick once may be slow for
#: good, and its answers are the only ones there are.
QUICK_ANSWERS = 8
QUICK_US = 600 * 1_000_000
#: A session whose times are off by more than this would have to be slewed for long, and be dated
#: wrongly meanwhile: another one begins,
FAR_US = 60 * 1_000_000
#: once so many answers have said the same. A clock that is wrong for a moment is mended by then.
FAR_ANSWERS = 5


class ClockOffset:
    """The server's clock minus ours, in microseconds, slewed towards the newest measure."""

    def __init__(self) -> None:
        self._offset_us: float | None = None
        self._target_us = 0.0
        self._slewed_us = 0

    @property
    def measured_us(self) -> int | None:
        """The newest measure as it is; None before the first one."""
        return None if self._offset_us is None else round(self._target_us)

    @property
    def lacking_us(self) -> float:
        """The difference between the newest measure and what times are corrected by."""
        return 0.0 if self._offset_us is None else self._target_us - self._offset_us

    def measured(self, t0: int, t1: int, t2: int, t3: int) -> None:
        """Take the four stamps of one exchange (RFC 5905 section 8), in microseconds."""
        self._target_us = ((t1 - t0) + (t2 - t3)) / 2
        if not self._slewed_us:
            self._offset_us = self._target_us

    def anew(self) -> ClockOffset:
        """One that begins with the newest measure."""
        offset = ClockOffset()
        offset._offset_us, offset._target_us = self._target_us, self._target_us
        return offset

    def corrected(self, time_us: int) -> int:
        """`time_us` of our clock as the server's clock has it."""
        if self._offset_us is None:
            return time_us
        step = max(0.0, SLEW * (time_us - self._slewed_us)) if self._slewed_us else 0.0
        self._slewed_us = time_us
        difference = self._target_us - self._offset_us
        self._offset_us += max(-step, min(step, difference))
        return time_us + round(self._offset_us)


class ClockComparison:
    """The questions and answers of one connection. A sleep makes the next question due.

    What was found before it may be hours old, and this machine may have slept since: what is
    found now counts for the sessions that begin from now on, which may be at another time. A
    session that goes on keeps the offset that it began with.

    :param wall_clock_us: our clock, which is never set.
    """

    def __init__(self, wall_clock_us: Callable[[], int]) -> None:
        self.offset = ClockOffset()
        self._wall_clock_us = wall_clock_us
        self._due_us = 0
        #: When answers came, and how long each was under way.
        self._delays: deque[tuple[int, int]] = deque()
        #: The measures one after the other that say the same, far from what times are corrected by.
        self._far: list[int] = []

    def question(self) -> Clock | None:
        """The question that is due, at first and then once a minute; None: nothing."""
        now_us = self._wall_clock_us()
        if now_us < self._due_us:
            return None
        self._due_us = now_us + round(CLOCK_SECONDS * 1_000_000)
        return Clock(now_us)

    def answered(self, message: Clock) -> bool:
        """Measure by `message`; False if it is no answer."""
        if message.t1 is None or message.t2 is None:
            return False
        t3 = self._wall_clock_us()
        is_first = not self._delays
        is_slow = self._is_slow((t3 - message.t0) - (message.t2 - message.t1), t3)
        if is_slow:
            self._due_us = t3
        if is_first or not is_slow:
            self.offset.measured(message.t0, message.t1, message.t2, t3)
            self._note_distance()
        return True

    def begin_anew(self) -> bool:
        """Tell whether a session has to begin so that its times are right; from then on
        :attr:`offset` is another, which has them so from the beginning."""
        if len(self._far) < FAR_ANSWERS:
            return False
        self._far.clear()
        self.offset = self.offset.anew()
        return True

    def _is_slow(self, delay_us: int, now_us: int) -> bool:
        delays = self._delays
        delays.append((now_us, delay_us))
        while len(delays) > QUICK_ANSWERS and now_us - delays[0][0] > QUICK_US:
            delays.popleft()
        # The first answer of a connection, too, may have been slept through: ask once more.
        quickest_us = min(delay for _, delay in delays) if len(delays) > 1 else 0
        return delay_us > quickest_us + DELAY_US

    def _note_distance(self) -> None:
        lacking_us, measured_us = self.offset.lacking_us, self.offset.measured_us
        assert measured_us is not None
        if self._far and abs(measured_us - self._far[-1]) > FAR_US:
            self._far.clear()
        if abs(lacking_us) > FAR_US:
            self._far.append(measured_us)
        else:
            self._far.clear()
