"""Gates that let everybody in, and whoever may do everything."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import execute
from twisted.internet.interfaces import IReactorTime

from vidlink.access.credentials import Credentials
from vidlink.access.gate import Gate
from vidlink.access.register import Register
from vidlink.model import Principal, Right

#: Whoever may do everything, everywhere.
ANYBODY = Principal("tester", "token:test", frozenset(Right))


def anybody(request: Any) -> Principal:
    """Takes whoever sends a request for one who may do everything."""
    return ANYBODY


def open_gate(clock: IReactorTime) -> Gate:
    """A gate that asks nobody for a credential."""
    register = Register(Credentials("no-folder"), now_us=lambda: 0, run_in_pool=execute)
    return Gate(register, clock, now_us=lambda: 0, run_in_pool=execute, is_open=lambda: True)
