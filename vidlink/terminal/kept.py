"""Logins that are kept for the commands: a file for each server.

It is in the folder of a person's own settings, and only they may read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote

from vidlink.dialling.address import Address
from vidlink.dialling.token import read_token_file
from vidlink.errors import UserMistake

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
#: The folder of a person's settings, where none is named (XDG Base Directory Specification).
_USUAL = "~/.config"


class KeptLogin:
    """The login at one server, if there is one.

    :param server: its address as it was given, and `address` as that was read.
    """

    def __init__(self, server: str, address: Address, environ: Mapping[str, str]) -> None:
        settings = environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(settings):
            settings = os.path.expanduser(_USUAL)
        self._folder = os.path.join(settings, "vidlink", "logins")
        # Of what is no URL, such as a Unix socket, the base URL does not say which one it is.
        is_known = "://" in server or server.startswith(("tcp:", "tls:"))
        name = address.base_url if is_known else server
        self.path = os.path.join(self._folder, quote(name, safe=""))

    def token(self) -> str | None:
        """Its token; None if there is no login.

        :raises UserMistake: if it cannot be read.
        """
        return read_token_file(self.path) if os.path.exists(self.path) else None

    def keep(self, token: str) -> None:
        """Keep the token of a new one in its place.

        :raises UserMistake: if it cannot be written.
        """
        fresh = f"{self.path}.{os.getpid()}.new"
        try:
            _make_folders(self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(fresh, flags, _FILE_MODE), "w", encoding="ascii") as file:
                file.write(token + "\n")
            os.replace(fresh, self.path)
        except OSError as error:
            with suppress(OSError):
                os.remove(fresh)
            raise UserMistake(f"cannot keep the login in {self.path}: {error.strerror}") from None

    def forget(self) -> None:
        """Keep it no more."""
        with suppress(FileNotFoundError):
            os.remove(self.path)


def _make_folders(path: str) -> None:
    # `os.makedirs` has its own mode for those above.
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        os.mkdir(path, _FOLDER_MODE)
