"""The token that a Sentinel or a client shows a server: where it is read from.

Whom it may be shown to is decided by :meth:`vidlink.dialling.address.Address.headers`. What a
token is stands in no text here: not in an error, and so in no log.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping

from vidlink.errors import UserMistake

#: The token itself, where no option names a file that it is in.
VARIABLE = "VIDLINK_TOKEN"
#: A file that is longer holds something else.
_MOST_BYTES = 4096
#: The characters of RFC 6750 section 2.1, which stand for themselves in a header.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,512}=*")


def token_source(
    file: str | None, environ: Mapping[str, str], complain: Callable[[str], object]
) -> Callable[[], str | None]:
    """A look at the token as it is now: in `file`, or else in the environment; None: there is none.

    :param complain: takes a line about a file that is fit to be read by too many; this once.
    :raises UserMistake: now, and out of the look, if what is there is no token.
    """
    if file is None:
        given = environ.get(VARIABLE) or None
        if given is not None:
            check_token(given, f"the variable {VARIABLE}")
        return lambda: given
    path = os.path.abspath(file)
    read_token_file(path, complain)
    return lambda: read_token_file(path)


def read_token_file(path: str, complain: Callable[[str], object] | None = None) -> str:
    """The token in a file, which holds it on one line and nothing else.

    :param complain: takes a line if others than its owner may read the file.
    :raises UserMistake: if it cannot be read, or there is no token in it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UserMistake(f"the token file {path} cannot be read: {error.strerror}") from None
    if complain is not None and stat.S_ISREG(mode) and mode & 0o007:
        complain(f"others can read the token file {path}; close it with: chmod o= {path}")
    lines = data.decode("latin-1").strip().splitlines()
    if not lines:
        raise UserMistake(f"the token file {path} is empty; put a token into it, on one line")
    if len(lines) > 1 or len(data) > _MOST_BYTES:
        raise UserMistake(f"the token file {path} has more than one line; leave the token alone")
    return check_token(lines[0].strip(), f"the token file {path}")


def check_token(text: str, where: str) -> str:
    """`text`, which can be a token.

    :raises UserMistake: if it cannot.
    """
    if _TOKEN.fullmatch(text) is None:
        raise UserMistake(f"{where} has something else than a token, as a server makes them")
    return text
