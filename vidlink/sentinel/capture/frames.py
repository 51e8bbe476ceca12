"""Encoded frames between the capture's thread and the reactor's: a bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from vidlink.model import EncodedFrame

#: So many frames may wait for the reactor: ten seconds at five a second.
MAX_FRAMES = 50


@dataclass(frozen=True, slots=True)
class MediaInit:
    """The initialization segment under which the frames of `epoch` are encoded."""

    epoch: int
    data: bytes
    timescale: int


class FrameQueue:
    """Frames on their way, each with the initialization segment that it needs.

    At `bound` frames the oldest group of pictures (a keyframe and what builds on it) is
    dropped. If that is all there is, what comes next cannot be decoded either and is dropped,
    up to the next keyframe, which the capture is told to make.
    """

    def __init__(self, bound: int = MAX_FRAMES) -> None:
        self.dropped = 0
        self._bound = bound
        self._waiting: deque[tuple[MediaInit, EncodedFrame]] = deque()
        self._is_broken = False
        self._lock = threading.Lock()

    def put(self, init: MediaInit, frame: EncodedFrame) -> bool:
        """Add a frame. False if a keyframe has to be made before anything else is of use."""
        with self._lock:
            if len(self._waiting) >= self._bound:
                self._drop_oldest_group()
            if self._is_broken and not frame.is_keyframe:
                self.dropped += 1
                return False
            self._is_broken = False
            self._waiting.append((init, frame))
            return True

    def collect(self) -> list[tuple[MediaInit, EncodedFrame]]:
        """Everything that waits, oldest first."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def _drop_oldest_group(self) -> None:
        while self._waiting:
            self._waiting.popleft()
            self.dropped += 1
            if self._waiting and self._waiting[0][1].is_keyframe:
                return
        self._is_broken = True
