"""The capture: a thread of its own that takes pictures, encodes them, and hands them over.

`cadence` decides when a picture is due, :mod:`vidlink.sentinel.sources` gives it, `encoder` encodes
it, and the uplink gets it by `frames`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from av import VideoFrame
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.errors import VidlinkError
from vidlink.interfaces import ICapture
from vidlink.model import EncodedFrame
from vidlink.sentinel.capture.cadence import Cadence
from vidlink.sentinel.capture.encoder import TIMESCALE
from vidlink.sentinel.capture.frames import FrameQueue, MediaInit
from vidlink.sentinel.capture.roles import IEncoder, ISource

#: A shorter sleep is none: the clocks differ by as much.
_SLEEP_SECONDS = 0.1


@implementer(ICapture)
class Capture:
    """Takes pictures of `source` at a steady rate and encodes them, from `start` to `stop`.

    Before the first `begin_session` nothing is captured. For every epoch `on_init` is called
    before its first frame; a picture of another size begins a new epoch by itself. A source
    or an encoder that fails is opened again, later each time; meanwhile there are no frames.

    At most `frames.MAX_FRAMES` frames wait for the reactor; `FrameQueue` says what happens then.

    :param open_encoder: gives an encoder for pictures of this width and height, as
        `encoders.EncoderSettings` does, or raises `CaptureError`.
    :param on_init: takes a `MediaInit`; like the next two called in the reactor's thread.
    :param on_frame: takes an `EncodedFrame`.
    :param on_trouble: takes a sentence for a person: what fails, and when it works again.
    :param call_in_reactor: such as ``reactor.callFromThread``.
    :param monotonic: seconds; goes on while the computer sleeps.
    :param wall_clock_us: microseconds since 1970 UTC.
    :param slept_seconds: how long the computer has slept, since whenever.
    """

    _log = Logger()

    def __init__(
        self,
        source: ISource,
        open_encoder: Callable[[int, int], IEncoder],
        *,
        framerate_mhz: int,
        keyframe_interval_seconds: float,
        on_init: Callable[[MediaInit], object],
        on_frame: Callable[[EncodedFrame], object],
        on_trouble: Callable[[str], object],
        call_in_reactor: Callable[..., object],
        monotonic: Callable[[], float],
        wall_clock_us: Callable[[], int],
        slept_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._source = source
        self._open_encoder = open_encoder
        self._on_init = on_init
        self._on_frame = on_frame
        self._on_trouble = on_trouble
        self._call_in_reactor = call_in_reactor
        self._monotonic = monotonic
        self._wall_clock_us = wall_clock_us
        self._slept_seconds = slept_seconds
        # Guards the cadence, which both threads use, and wakes the capture's.
        self._changed = threading.Condition()
        self._cadence = Cadence(framerate_mhz, keyframe_interval_seconds, TIMESCALE)
        self._frames = FrameQueue()
        self._announced_epoch = 0
        self._encoder: IEncoder | None = None
        self._init = MediaInit(0, b"", TIMESCALE)
        self._troubled_seconds: float | None = None
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._has_ended = False
        self._waiting_for_end: list[Deferred[None]] = []

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="vidlink-capture", daemon=True)
            self._thread.start()

    def stop(self) -> Deferred[None]:
        """End the thread; fires when source and encoder are closed. May be called twice."""
        if self._thread is None or self._has_ended:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting_for_end.append(done)
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        return done

    def begin_session(self) -> int:
        """The next frame is captured at once, is an IDR, and has media time 0; see `ICapture`."""
        with self._changed:
            self._changed.notify()
            return self._cadence.begin_session(self._monotonic())

    def request_keyframe(self) -> None:
        """Capture now, outside the cadence, as an IDR; at most five times a second."""
        with self._changed:
            self._changed.notify()
            self._cadence.request_keyframe(self._monotonic())

    def set_framerate(self, framerate_mhz: int) -> None:
        """Capture at this rate (mHz, clamped) from now on; the next frame is an IDR."""
        with self._changed:
            self._changed.notify()
            self._cadence.set_framerate(framerate_mhz, self._monotonic())

    # What follows runs in the capture's thread.

    def _run(self) -> None:
        while self._wait_until_due():
            self.step()
        self._let_go()
        self._call_in_reactor(self._end)

    def _wait_until_due(self) -> bool:
        """Wait for the next picture; False when it is time to stop."""
        with self._changed:
            while not self._is_stopping:
                wait = self._cadence.wait_seconds(self._monotonic())
                if wait is not None and wait <= 0:
                    return True
                self._changed.wait(wait)
        return False

    def step(self) -> bool:
        """Take the picture that is due, as the thread does; False if none is."""
        with self._changed:
            if self._cadence.wait_seconds(self._monotonic()) != 0:
                return False
        try:
            self._shoot()
            self._works_again()
        except VidlinkError as error:
            self._fails(str(error))
        except Exception:
            self._call_in_reactor(self._log_bug, Failure())
            self._fails("an error in this program, see the log")
        return True

    def _shoot(self) -> None:
        """Take, encode and hand over one picture."""
        # This may take its time, and is no part of the capture time.
        self._source.open()
        slept, now, start_time_us, picture = self._grab()
        encoder = self._encoder
        if encoder is None or not encoder.fits(picture):
            encoder = self._renew_encoder(picture, now)
        with self._changed:
            shot = self._cadence.place_shot(now)
        data = encoder.encode(picture, shot.media_time, shot.is_keyframe)
        if self._init.epoch != shot.epoch:
            self._init = MediaInit(shot.epoch, encoder.init, encoder.timescale)
        frame = EncodedFrame(
            epoch=shot.epoch,
            media_time=shot.media_time,
            start_time_us=start_time_us,
            duration=shot.duration,
            duration_ms=shot.duration_ms,
            is_keyframe=shot.is_keyframe,
            framerate_mhz=shot.framerate_mhz,
            data=data,
            slept_us=round(slept * 1_000_000),
        )
        if not self._frames.put(self._init, frame):
            with self._changed:
                self._cadence.force_keyframe()
        self._call_in_reactor(self._hand_over)

    def _grab(self) -> tuple[float, float, int, VideoFrame]:
        """A picture, and before it the sleep until then, when it was taken, and that as a date.

        If the computer slept in the middle of it, nobody knows of when it is: it is taken again.
        """
        while True:
            slept = self._slept_seconds()
            now, start_time_us = self._monotonic(), self._wall_clock_us()
            picture = self._source.grab(now)
            if self._slept_seconds() - slept < _SLEEP_SECONDS:
                return slept, now, start_time_us, picture

    def _renew_encoder(self, picture: VideoFrame, now: float) -> IEncoder:
        """Open an encoder for pictures such as this one.

        If frames of this epoch went out under another initialization segment, a new epoch
        begins; the same one as before goes on with a keyframe.
        """
        self._close_encoder()
        encoder = self._encoder = self._open_encoder(picture.width, picture.height)
        with self._changed:
            self._cadence.force_keyframe()
            if self._init.epoch == self._cadence.epoch and self._init.data != encoder.init:
                self._cadence.begin_session(now)
        return encoder

    def _close_encoder(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close()

    def _let_go(self) -> None:
        """Close encoder and source; a fault in closing must not end the thread without a word."""
        for close in (self._close_encoder, self._source.close):
            try:
                close()
            except Exception:
                self._call_in_reactor(self._log_bug, Failure())

    def _fails(self, why: str) -> None:
        """Let go of everything, so that the next attempt opens it anew."""
        self._let_go()
        now = self._monotonic()
        with self._changed:
            wait = self._cadence.failed(now)
        if self._troubled_seconds is None:
            self._troubled_seconds = now
        self._call_in_reactor(self._on_trouble, f"{why}; trying again in {wait:g} s")

    def _works_again(self) -> None:
        if self._troubled_seconds is not None:
            after = self._monotonic() - self._troubled_seconds
            self._troubled_seconds = None
            text = f"there are pictures again, after {after:.0f} s"
            self._call_in_reactor(self._on_trouble, text)

    # What follows runs in the reactor's thread.

    def _hand_over(self) -> None:
        for init, frame in self._frames.collect():
            if init.epoch != self._announced_epoch:
                self._announced_epoch = init.epoch
                self._on_init(init)
            self._on_frame(frame)
        if self._frames.dropped != self._dropped:
            count = self._frames.dropped - self._dropped
            self._dropped += count
            self._log.warn("{count} frames were dropped: the reactor was too slow", count=count)

    def _log_bug(self, failure: Failure) -> None:
        self._log.failure("the capture failed", failure)

    def _end(self) -> None:
        self._has_ended = True
        waiting, self._waiting_for_end = self._waiting_for_end, []
        for done in waiting:
            done.callback(None)
