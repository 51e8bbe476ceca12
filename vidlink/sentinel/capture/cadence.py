"""The beat of the capture: when a picture is due and whether it is a keyframe, without threads.

Times are seconds of a monotonic clock that the caller reads. Taking pictures is `capture`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from vidlink.model import MAX_FRAMERATE_MHZ, clamp_framerate

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 30.0
#: A shorter wait is none.
_GRAIN_SECONDS = 0.001
_SHORTEST_SECONDS = 1_000 / MAX_FRAMERATE_MHZ


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture's place in its session; `media_time` and `duration` are in ticks."""

    epoch: int
    media_time: int
    duration: int
    duration_ms: int
    is_keyframe: bool
    framerate_mhz: int


class Cadence:
    """Paces a capture, and says of each picture whether it is a keyframe.

    - Pictures are due at a steady beat. A picture that is late by half a beat or more
      begins the beat anew: nothing is made up for.
    - One asked for in between is due at once, though never sooner after the one before than
      at the highest frame rate, and the beat goes on from there.
    - A keyframe is the first picture of a session, the next after it was asked for or the rate
      was changed, one that comes later than 1.5 times the duration declared for the picture
      before (browsers drop everything else after such a hole), and one whenever the next
      would come more than a quarter of a frame time after the keyframe interval.

    :param timescale: ticks a second of media times and durations.
    """

    def __init__(
        self, framerate_mhz: int, keyframe_interval_seconds: float, timescale: int
    ) -> None:
        self.epoch = 0
        self._framerate_mhz = clamp_framerate(framerate_mhz)
        self._keyframe_interval_seconds = keyframe_interval_seconds
        self._timescale = timescale
        self._began_seconds: float | None = None
        self._due_seconds = 0.0
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._is_keyframe_wanted = True
        self._last_seconds = -inf
        self._last_media_time = -1
        self._last_duration = 0
        self._keyframe_seconds = 0.0

    @property
    def _period_seconds(self) -> float:
        return 1_000 / self._framerate_mhz

    def begin_session(self, now_seconds: float) -> int:
        """Begin a session: its first picture is due now. Returns its epoch, from 1."""
        self.epoch += 1
        self._began_seconds = None
        self._is_keyframe_wanted = True
        self._due_seconds = now_seconds
        return self.epoch

    def request_keyframe(self, now_seconds: float) -> None:
        """The next picture is a keyframe, and is due as soon as may be."""
        self._is_keyframe_wanted = True
        if not self._is_failing:
            soon = max(now_seconds, self._last_seconds + _SHORTEST_SECONDS)
            self._due_seconds = min(self._due_seconds, soon)

    def force_keyframe(self) -> None:
        """The next picture, when it is due, is a keyframe."""
        self._is_keyframe_wanted = True

    def set_framerate(self, framerate_mhz: int, now_seconds: float) -> None:
        """Change the beat (mHz, clamped); the next picture is a keyframe."""
        self._framerate_mhz = clamp_framerate(framerate_mhz)
        self._is_keyframe_wanted = True
        if self._began_seconds is not None and not self._is_failing:
            self._due_seconds = max(now_seconds, self._last_seconds + self._period_seconds)

    def wait_seconds(self, now_seconds: float) -> float | None:
        """The time until the next picture is due; None before the first session."""
        if self.epoch == 0:
            return None
        wait = self._due_seconds - now_seconds
        return wait if wait > _GRAIN_SECONDS else 0.0

    def place_shot(self, now_seconds: float) -> Shot:
        """Place the picture that was taken at `now_seconds` in its session."""
        if self._began_seconds is None:
            self._began_seconds = now_seconds
            self._last_media_time = -1
            self._last_duration = 0
        elapsed = round((now_seconds - self._began_seconds) * self._timescale)
        media_time = max(elapsed, self._last_media_time + 1)
        is_keyframe = self._needs_keyframe(now_seconds, media_time)
        if is_keyframe:
            self._is_keyframe_wanted = False
            self._keyframe_seconds = now_seconds
        self._last_media_time = media_time
        self._last_duration = self._timescale * 1_000 // self._framerate_mhz
        self._beat(now_seconds)
        return Shot(
            epoch=self.epoch,
            media_time=media_time,
            duration=self._last_duration,
            duration_ms=round(1_000_000 / self._framerate_mhz),
            is_keyframe=is_keyframe,
            framerate_mhz=self._framerate_mhz,
        )

    def failed(self, now_seconds: float) -> float:
        """Note that a picture could not be taken; returns the seconds to wait, more each time."""
        wait = self._retry_seconds
        self._retry_seconds = min(2 * wait, LONGEST_RETRY_SECONDS)
        self._is_keyframe_wanted = True
        self._due_seconds = now_seconds + wait
        return wait

    @property
    def _is_failing(self) -> bool:
        return self._retry_seconds > FIRST_RETRY_SECONDS

    def _needs_keyframe(self, now_seconds: float, media_time: int) -> bool:
        is_late = 2 * (media_time - self._last_media_time) > 3 * self._last_duration
        age = now_seconds - self._keyframe_seconds
        is_old = age + 0.75 * self._period_seconds > self._keyframe_interval_seconds
        return self._is_keyframe_wanted or is_late or is_old

    def _beat(self, now_seconds: float) -> None:
        """Find the next slot after a picture at `now_seconds`."""
        period = self._period_seconds
        late = now_seconds - self._due_seconds
        is_on_beat = -_GRAIN_SECONDS <= late < period / 2 and not self._is_failing
        self._due_seconds = (self._due_seconds if is_on_beat else now_seconds) + period
        self._last_seconds = now_seconds
        self._retry_seconds = FIRST_RETRY_SECONDS
