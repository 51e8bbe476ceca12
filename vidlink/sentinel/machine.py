"""The machine that this is: what it is called, and what tells it from others.

An image is copied onto many machines, so that nothing that stands in a file tells them apart, such
as ``/etc/machine-id``; what their hardware has burnt in does, and stays when they are imaged anew.
What needs an administrator to be read is left alone.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

_NOBODY = ("", "localhost")
#: Of a MAC address that is nobody's in particular: it was made up (IEEE 802 section 8.4).
_MADE_UP = 1 << 40
#: The kernel's word for an address that is burnt in.
_BURNT_IN = "0"
#: The model, as far as everybody may read it.
_MODEL = ("sys_vendor", "product_name", "board_vendor", "board_name")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: `name` and `mac` may be empty; `fingerprint` is 64 hexadecimal digits."""

    name: str
    mac: str
    fingerprint: str


def this_machine(
    root: str = "/",
    host: Callable[[], str] = socket.gethostname,
    node: Callable[[], int] = uuid.getnode,
) -> Machine:
    """The machine as it is now.

    :param root: where ``/sys`` and ``/etc`` are.
    :param host: gives the host's name.
    :param node: gives a MAC address where there is no ``/sys``, or makes one up.
    """
    name = host().partition(".")[0]
    if name in _NOBODY:
        name = ""
    burnt_in, others = _addresses(os.path.join(root, "sys/class/net"))
    if not (burnt_in or others):
        found = node()
        if not found & _MADE_UP:
            burnt_in = [":".join(f"{octet:02x}" for octet in found.to_bytes(6))]
    parts = [*burnt_in[:1], *_lines(os.path.join(root, "sys/class/dmi/id"), *_MODEL)]
    if not burnt_in:
        # Better than nothing, and for containers all that there is.
        parts += [*others[:1], *_lines(os.path.join(root, "etc"), "machine-id"), name]
    mac = next(iter([*burnt_in, *others]), "")
    return Machine(name, mac, hashlib.sha256("\n".join(parts).encode()).hexdigest())


def _addresses(folder: str) -> tuple[list[str], list[str]]:
    """MAC addresses, those that are burnt in and others; the first is the most at home here."""
    ranked: list[tuple[tuple[bool, bool, str], bool, str]] = []
    with suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            address, kind = (next(_lines(path, one), "") for one in ("address", "addr_assign_type"))
            if not address.strip("0:"):
                continue
            device = os.path.realpath(os.path.join(path, "device"))
            is_real = kind == _BURNT_IN and os.path.exists(device)
            # An adapter on a cable goes from machine to machine.
            rank = "/usb" in device, os.path.exists(os.path.join(path, "wireless")), name
            ranked.append((rank, is_real, address.lower()))
    ranked.sort()
    return (
        [address for _, is_real, address in ranked if is_real],
        [address for _, is_real, address in ranked if not is_real],
    )


def _lines(folder: str, *names: str) -> Iterator[str]:
    """The first lines of files, of those that can be read."""
    for name in names:
        with suppress(OSError), open(os.path.join(folder, name), encoding="utf-8",
                                     errors="replace") as file:  # fmt: skip
            yield file.readline(256).strip()
