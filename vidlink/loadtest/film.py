"""The frames that all screens of a load test send; :mod:`vidlink.loadtest.page` makes them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

#: From one keyframe to the next, as Sentinels have it unless told otherwise.
KEYFRAME_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Film:
    """Frames as MP4 samples: the first is a keyframe, each other one builds on that before it."""

    init: bytes
    timescale: int
    samples: tuple[bytes, ...]

    @property
    def mean_bytes(self) -> float:
        """The mean size of a frame."""
        return sum(map(len, self.samples)) / len(self.samples)

    def plain(self) -> Any:
        """The same as JSON has it."""
        samples = [b64encode(sample).decode() for sample in self.samples]
        return [b64encode(self.init).decode(), self.timescale, samples]

    @classmethod
    def of_plain(cls, plain: Any) -> Film:
        """The film that :meth:`plain` has told of."""
        init, timescale, samples = plain
        return cls(b64decode(init), timescale, tuple(map(b64decode, samples)))
