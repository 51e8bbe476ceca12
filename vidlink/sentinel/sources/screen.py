"""The source `screen` where FFmpeg grabs on demand: X11 and Windows.

The devices x11grab and gdigrab grab when they are read, but wait first until a frame at their
own rate is due. Asked for a thousand frames a second they are always late, and never wait.
"""

from __future__ import annotations

from av import VideoFrame
from av.container import InputContainer
from av.error import FFmpegError, PatchWelcomeError
from av.video.stream import VideoStream
from zope.interface import implementer

from vidlink.errors import CaptureError, UserMistake, VidlinkError
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.colormap import Colormap
from vidlink.sentinel.sources.ffmpeg import open_input, reason

#: FFmpeg's names for an X11 screen of one octet a pixel, although these are no colours.
_NUMBERED = ("rgb8", "bgr8")
#: The size of a screen is read when the device is opened, so it is opened anew now and then.
LOOK_AGAIN_SECONDS = 10.0

_OPTIONS = {
    "framerate": "1000",
    "draw_mouse": "1",
    # Without these, opening takes several pictures and keeps them for later.
    "probesize": "32",
    "analyzeduration": "0",
}


@implementer(ISource)
class ScreenSource:
    """The whole screen, grabbed at the moment it is asked for, mouse pointer included.

    :param format_name: FFmpeg's device, ``x11grab`` or ``gdigrab``.
    :param input_name: what to grab: the display, or ``desktop``.
    """

    def __init__(self, format_name: str, input_name: str) -> None:
        self._format_name = format_name
        self._input_name = input_name
        self._device: tuple[InputContainer, VideoStream] | None = None
        self._colormap: Colormap | None = None
        self._opened_seconds: float | None = None

    def open(self) -> None:
        """Connect to the screen; does nothing if it is connected."""
        if self._device is None:
            self._device = self._connect()
            self._opened_seconds = None
        is_numbered = self._format_name == "x11grab" and self._device[1].format.name in _NUMBERED
        if is_numbered and self._colormap is None:
            self._colormap = Colormap(self._input_name)

    def grab(self, now_seconds: float) -> VideoFrame:
        """The picture that is on the screen now."""
        self.open()
        if self._opened_seconds is None:
            self._opened_seconds = now_seconds
        if now_seconds - self._opened_seconds > LOOK_AGAIN_SECONDS:
            self._opened_seconds = now_seconds
            self._look_again()
        assert self._device is not None
        picture = self._read(*self._device)
        return picture if self._colormap is None else self._colormap.coloured(picture)

    def close(self) -> None:
        """Let go of the screen."""
        if self._colormap is not None:
            colormap, self._colormap = self._colormap, None
            colormap.close()
        if self._device is not None:
            device, self._device = self._device, None
            device[0].close()

    def _look_again(self) -> None:
        """Connect anew, and only then let go: an X server resets when its last client leaves."""
        try:
            device = self._connect()
        except VidlinkError:
            return
        self.close()
        self._device = device
        self.open()

    def _connect(self) -> tuple[InputContainer, VideoStream]:
        what = f"the screen {self._input_name}"
        try:
            container, stream = open_input(self._input_name, self._format_name, _OPTIONS, what)
        except UserMistake as error:
            if self._format_name != "x11grab":
                raise
            if isinstance(error.__cause__, PatchWelcomeError):
                raise UserMistake(
                    f"{what} has a depth that cannot be captured: set it to 24 bits"
                ) from None
            # FFmpeg says no more than "input/output error".
            raise UserMistake(
                f"{error}: no X server answers there, or XAUTHORITY does not open it"
            ) from None
        try:
            # The picture that was taken to learn the size would be shown late.
            self._read(container, stream)
        except CaptureError as error:
            container.close()
            raise UserMistake(str(error)) from None
        return container, stream

    def _read(self, container: InputContainer, stream: VideoStream) -> VideoFrame:
        try:
            for packet in container.demux(stream):
                for picture in packet.decode():
                    return picture
        except FFmpegError as error:
            raise CaptureError(
                f"the screen {self._input_name} cannot be grabbed: {reason(error)}"
            ) from None
        raise CaptureError(f"the screen {self._input_name} gives no pictures")
