"""FFmpeg's inputs, opened so that whatever goes wrong is one clear line for a person.

What is done with an open input is decided in the modules beside this one.
"""

from __future__ import annotations

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidlink.errors import UserMistake

#: For inputs that come over a network; others do not ask.
OPEN_SECONDS, READ_SECONDS = 10.0, 10.0


def reason(error: FFmpegError) -> str:
    """The mistake as FFmpeg says it, without its numbers and names of files."""
    return (error.strerror or type(error).__name__).lower()


def open_input(
    name: str, format_name: str | None, options: dict[str, str], what: str
) -> tuple[InputContainer, VideoStream]:
    """Open an input of FFmpeg, and find its first video stream.

    `what` is how a person knows it, such as "the file x.mp4".

    :raises UserMistake: if it cannot be opened, or there is no video in it.
    """
    try:
        container = av.open(
            name, "r", format=format_name, options=options, timeout=(OPEN_SECONDS, READ_SECONDS)
        )
    except FFmpegError as error:
        raise UserMistake(f"cannot open {what}: {reason(error)}") from error
    except ValueError as error:
        raise UserMistake(f"cannot open {what}: {error}") from None
    if not container.streams.video:
        container.close()
        raise UserMistake(f"there is no video in {what}")
    return container, container.streams.video[0]
