"""The colours of an X11 screen that is 8 bits deep: each of its pixels is a number in a table.

FFmpeg takes these numbers for colours. The table is the server's, programs change it, and what is
shown goes by the one that is installed; so it is read anew for each picture. Asked is libxcb, which
answers an X server that has gone with an error; libX11 would end the process.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import Any

from av import VideoFrame

from vidlink.errors import CaptureError, UserMistake

#: The numbers that a pixel can be.
COLOURS = 256
_LIBRARY = "libxcb.so.1"


class _Cookie(ctypes.Structure):
    _fields_ = (("sequence", ctypes.c_uint),)


class _Screen(ctypes.Structure):
    """The beginning of ``xcb_screen_t``."""

    _fields_ = (("root", ctypes.c_uint32), ("default_colormap", ctypes.c_uint32))


class _Screens(ctypes.Structure):
    """``xcb_screen_iterator_t``."""

    _fields_ = (
        ("data", ctypes.POINTER(_Screen)),
        ("rem", ctypes.c_int),
        ("index", ctypes.c_int),
    )


class _Colour(ctypes.Structure):
    """``xcb_rgb_t``."""

    _fields_ = (
        ("red", ctypes.c_uint16),
        ("green", ctypes.c_uint16),
        ("blue", ctypes.c_uint16),
        ("pad", ctypes.c_uint16),
    )


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "xcb_connect": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]),
    "xcb_connection_has_error": (ctypes.c_int, [ctypes.c_void_p]),
    "xcb_disconnect": (None, [ctypes.c_void_p]),
    "xcb_get_setup": (ctypes.c_void_p, [ctypes.c_void_p]),
    "xcb_setup_roots_iterator": (_Screens, [ctypes.c_void_p]),
    "xcb_screen_next": (None, [ctypes.POINTER(_Screens)]),
    "xcb_list_installed_colormaps": (_Cookie, [ctypes.c_void_p, ctypes.c_uint32]),
    "xcb_list_installed_colormaps_reply": (
        ctypes.c_void_p,
        [ctypes.c_void_p, _Cookie, ctypes.c_void_p],
    ),
    "xcb_list_installed_colormaps_cmaps": (ctypes.POINTER(ctypes.c_uint32), [ctypes.c_void_p]),
    "xcb_list_installed_colormaps_cmaps_length": (ctypes.c_int, [ctypes.c_void_p]),
    "xcb_query_colors": (
        _Cookie,
        [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32)],
    ),
    "xcb_query_colors_reply": (ctypes.c_void_p, [ctypes.c_void_p, _Cookie, ctypes.c_void_p]),
    "xcb_query_colors_colors": (ctypes.POINTER(_Colour), [ctypes.c_void_p]),
    "xcb_query_colors_colors_length": (ctypes.c_int, [ctypes.c_void_p]),
    "free": (None, [ctypes.c_void_p]),
}


def _load() -> Any:
    """The library, with the types of what is used of it, and `free` of C's.

    :raises OSError: if it is not there.
    """
    library = ctypes.CDLL(_LIBRARY)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Colormap:
    """The colours of `display`, such as ``:0``, whose screen is 8 bits deep.

    :raises UserMistake: if they cannot be read here.
    """

    def __init__(self, display: str) -> None:
        self._display = display
        try:
            self._xcb = _load()
        except OSError:
            raise UserMistake(
                f"the screen {display} is 8 bits deep, and its colours cannot be read without "
                f"{_LIBRARY}: install that, or set the screen to a depth of 24 bits"
            ) from None
        number = ctypes.c_int()
        self._connection = self._xcb.xcb_connect(display.encode(), ctypes.byref(number))
        if self._xcb.xcb_connection_has_error(self._connection):
            self.close()
            raise UserMistake(f"the colours of the screen {display} cannot be read")
        screens = self._xcb.xcb_setup_roots_iterator(self._xcb.xcb_get_setup(self._connection))
        for _ in range(number.value):
            self._xcb.xcb_screen_next(ctypes.byref(screens))
        self._screen = screens.data.contents

    def close(self) -> None:
        """Let go of the display."""
        self._xcb.xcb_disconnect(self._connection)

    def coloured(self, picture: VideoFrame) -> VideoFrame:
        """`picture`, whose pixels are numbers, with the colours that they have now.

        :raises CaptureError: if the screen is gone.
        """
        frame = VideoFrame(picture.width, picture.height, "pal8")
        source, target = picture.planes[0], frame.planes[0]
        rows = memoryview(source)
        width, pad = picture.width, bytes(target.line_size - picture.width)
        starts = range(0, source.line_size * picture.height, source.line_size)
        target.update(b"".join(bytes(rows[at : at + width]) + pad for at in starts))
        frame.planes[1].update(self._palette())
        return frame

    def _palette(self) -> bytes:
        """A word for each number: opaque, red, green, blue, from the highest octet down."""
        numbers = (ctypes.c_uint32 * COLOURS)(*range(COLOURS))
        cookie = self._xcb.xcb_query_colors(self._connection, self._shown(), COLOURS, numbers)
        reply = self._xcb.xcb_query_colors_reply(self._connection, cookie, None)
        if not reply:
            raise CaptureError(f"the screen {self._display} says no colours")
        count = self._xcb.xcb_query_colors_colors_length(reply)
        colours = self._xcb.xcb_query_colors_colors(reply)
        words = array("I", bytes(4 * COLOURS))
        for number in range(min(count, COLOURS)):
            one = colours[number]
            words[number] = 0xFF << 24 | one.red >> 8 << 16 | one.green >> 8 << 8 | one.blue >> 8
        self._xcb.free(reply)
        return words.tobytes()

    def _shown(self) -> int:
        """The table that is installed: what is seen goes by it, whoever's it is."""
        cookie = self._xcb.xcb_list_installed_colormaps(self._connection, self._screen.root)
        reply = self._xcb.xcb_list_installed_colormaps_reply(self._connection, cookie, None)
        if not reply:
            raise CaptureError(f"the screen {self._display} says no colours")
        count = self._xcb.xcb_list_installed_colormaps_cmaps_length(reply)
        tables = self._xcb.xcb_list_installed_colormaps_cmaps(reply)
        shown = tables[0] if count else self._screen.default_colormap
        self._xcb.free(reply)
        return int(shown)
