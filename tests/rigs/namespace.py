"""A network of its own on this machine, joined to ours by one cable that can be cut.

Needs root and Linux's network namespaces; a test that has neither is skipped by name.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rigs.needs import do_without, need

_numbers = itertools.count()


class Namespace:
    """The network: processes in it are started with `before`, and reach us at `here`.

    A cable that is cut loses what is sent, in both directions, and tells nobody.
    """

    def __init__(self) -> None:
        ip = need("ip")
        pid, number = os.getpid(), next(_numbers)
        # As unique as the process: two runs at once must not share a network.
        self._near, self._far = f"vl{pid}a{number}", f"vl{pid}b{number}"
        net = f"10.{200 + pid // 256 % 50}.{pid % 256}.{4 * number % 256}"
        prefix = net.rpartition(".")[0]
        self.here = f"{prefix}.{4 * number % 256 + 1}"
        self.there = f"{prefix}.{4 * number % 256 + 2}"
        self._net = f"{net}/30"
        self.before = (ip, "netns", "exec", self._far)

    def make(self) -> None:
        """Make it."""
        if os.geteuid() != 0:
            do_without("needs root, for a network of its own")
        try:
            _ip("netns", "add", self._far)
        except subprocess.CalledProcessError as error:
            do_without(f"needs network namespaces: {error.stderr.strip()}")
        _ip("link", "add", self._near, "type", "veth", "peer", self._far, "netns", self._far)
        _ip("address", "add", f"{self.here}/30", "dev", self._near)
        _ip("-n", self._far, "address", "add", f"{self.there}/30", "dev", self._far)
        _ip("-n", self._far, "link", "set", "lo", "up")
        _ip("-n", self._far, "link", "set", self._far, "up")
        # While the cable is cut nothing may leave by another way.
        _ip("route", "add", "blackhole", self._net, "metric", "4000")
        self.mend()

    def cut(self) -> None:
        """Cut the cable."""
        _ip("link", "set", self._near, "down")

    def mend(self) -> None:
        """Join it again."""
        _ip("link", "set", self._near, "up")

    def remove(self) -> None:
        """Remove it; the processes in it have to be ended before."""
        for words in (
            ("route", "del", "blackhole", self._net, "metric", "4000"),
            ("link", "del", self._near),
            ("netns", "del", self._far),
        ):
            subprocess.run(["ip", *words], check=False, capture_output=True)


@contextmanager
def joined_namespace() -> Iterator[Namespace]:
    """Make one, and remove it whatever happens."""
    namespace = Namespace()
    try:
        namespace.make()
        yield namespace
    finally:
        namespace.remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
