"""A token of this machine's own, given for that of a room, and kept for all connections to come.

It is asked for before a connection is made, as long as there is none that the server takes.
Meanwhile all goes on that needs no server: pictures are taken, and what is captured is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Protocol

from twisted.logger import Logger

from vidlink.errors import UserMistake, VidlinkError
from vidlink.model import is_sentinel_id

FORMAT = 1
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
#: A file that is longer is none of ours.
_MOST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class OwnToken:
    """A token, and what it is for: `sentinel_id`, at the `server` that gave it to the `machine`
    with this fingerprint, which asked to be `asked_id`."""

    server: str
    asked_id: str
    machine: str
    sentinel_id: str
    token: str


class NotEnrolled(VidlinkError):
    """There is no token of this machine's own; the cause of it says why."""

    code = "not-enrolled"


class Given(Protocol):
    """The answer of a server that has enrolled this machine."""

    @property
    def sentinel_id(self) -> str:
        """Who this machine is."""

    @property
    def token(self) -> str:
        """By this token."""


class Enrolment:
    """The token of this machine's own, from its file or from the server.

    :param folder: the folder of the file, made when there is something to keep.
    :param server: the address of the server; a token goes to nobody but who gave it.
    :param asked_id: what this machine wants to be called.
    :param machine: its fingerprint.
    :param ask: has the server enrol it.
    """

    _log = Logger()

    def __init__(
        self,
        folder: str,
        *,
        server: str,
        asked_id: str,
        machine: str,
        ask: Callable[[], Awaitable[Given]],
    ) -> None:
        self.path = os.path.abspath(os.path.join(folder, f"{asked_id}.json"))
        #: Called with the id when the server says that this is another Sentinel.
        self.became: Callable[[str], object] = lambda sentinel_id: None
        self._server, self._asked_id, self._machine = server, asked_id, machine
        self._ask = ask
        self._own = self._read()
        self._is_doubted = self._is_shared = False

    @property
    def token(self) -> str | None:
        """Its own token; None if it has none yet."""
        return None if self._own is None else self._own.token

    @property
    def sentinel_id(self) -> str:
        """Who it is, or as long as no server has said so, wants to be."""
        return self._asked_id if self._own is None else self._own.sentinel_id

    def doubt(self) -> bool:
        """The server does not take the token; False if that was known."""
        was_doubted, self._is_doubted = self._is_doubted, True
        return not was_doubted

    def share(self) -> None:
        """Somebody else is connected by the token: another one is to be asked for, to be told
        apart from a machine that is this one in everything."""
        self._is_doubted = self._is_shared = True

    def trust(self) -> None:
        """The server has taken the token."""
        self._is_doubted = False

    async def make_ready(self) -> None:
        """Have a token that there is no reason to doubt; if the server gives none, the old one.

        :raises NotEnrolled: if there is none at all; the text says why.
        """
        if self._own is not None and not self._is_doubted:
            return
        try:
            given = await self._ask()
        except VidlinkError as error:
            refused = NotEnrolled(f"cannot enrol at {self._server}: {error}")
            if self._own is None:
                raise refused from error
            self._log.warn("{line}", line=str(refused))
            return
        was = None if self._own is None else self._own.sentinel_id
        self._own = OwnToken(
            self._server, self._asked_id, self._machine, given.sentinel_id, given.token
        )
        # The other one may have this very folder, as who is started twice on one machine: what was
        # kept is its own, and comes to be this one's again when it is gone.
        if not self._is_shared or given.sentinel_id == was:
            self._keep(self._own)
        self._is_doubted = self._is_shared = False
        told = ""
        if given.sentinel_id != self._asked_id:
            told = f", because another machine is {self._asked_id}"
        self._log.info(
            "{server} has enrolled this machine as {sentinel}{told}",
            server=self._server,
            sentinel=given.sentinel_id,
            told=told,
        )
        self.became(given.sentinel_id)

    def _read(self) -> OwnToken | None:
        """The token in the file, if this machine got it from this server.

        :raises UserMistake: if there is a file and it cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserMistake(f"the state {self.path} cannot be read: {error.strerror}") from None
        try:
            found = json.loads(data)
            is_known = found.pop("format") == FORMAT
            own = OwnToken(**found)
            is_known = is_known and is_sentinel_id(own.sentinel_id) and isinstance(own.token, str)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_known = False
        if not is_known:
            self._log.warn("{path} is damaged; this machine enrols anew", path=self.path)
            return None
        if own.machine != self._machine:
            self._log.warn(
                "the token in {path} was given to another machine, of which this is a copy; it is "
                "thrown away, and this machine enrols itself",
                path=self.path,
            )
            return None
        return own if (own.server, own.asked_id) == (self._server, self._asked_id) else None

    def _keep(self, own: OwnToken) -> None:
        """Write the file anew, whole or not at all, readable by nobody else."""
        text = json.dumps({"format": FORMAT, **asdict(own)}, indent=1) + "\n"
        fresh = f"{self.path}.new"
        try:
            os.makedirs(os.path.dirname(self.path), _FOLDER_MODE, exist_ok=True)
            with suppress(FileNotFoundError):
                os.remove(fresh)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(fresh, flags, _FILE_MODE), "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self.path)
        except OSError as error:
            self._log.error(
                "the token of this machine cannot be kept in {path} ({why}); it will enrol again "
                "at its next start",
                path=self.path,
                why=error.strerror,
            )
