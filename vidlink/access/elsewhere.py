"""Passwords that others know: checkers of ``twisted.cred``, named as on a command line.

What is named here only says whether a password is somebody's. Who is let in at all, and what for,
stands in our own list of users.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.cred import strcred
from twisted.cred.credentials import IUsernamePassword

from vidlink.errors import UserMistake


def checker(description: str) -> Any:
    """The `ICredentialsChecker` that `description` names, such as ``file:/etc/vidlink/passwords``.

    :raises UserMistake: if there is none of that kind, or it does not take what follows.
    """
    kind, _, argument = description.partition(":")
    known = {
        factory.authType: factory
        for factory in strcred.findCheckerFactories()
        if IUsernamePassword in factory.credentialInterfaces
    }
    if kind not in known:
        raise UserMistake(f"--auth takes {', '.join(sorted(known))}, not {kind!r}")
    # That of Twisted only warns.
    if kind == "file" and not (os.path.isfile(argument) and os.access(argument, os.R_OK)):
        raise UserMistake(f"--auth {description}: there is no file of that name that can be read")
    try:
        return known[kind].generateChecker(argument)
    except Exception as error:
        # Whatever a plugin thinks of.
        raise UserMistake(f"--auth {description} cannot be used: {error}") from None
