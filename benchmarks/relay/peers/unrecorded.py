"""The server of VidLink with a recording that keeps nothing, to tell what recording costs.

``unrecorded.py ... -n ARGUMENTS``: what comes from ``-n`` on is twistd's.
"""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

from vidlink.model import Arrival
from vidlink.store import store
from vidlink.store.queue.ledger import Ledger


class Nowhere(Ledger):
    """Takes whatever comes."""

    def append(self, session_id: str, arrival: Arrival) -> bool:
        """Keep nothing of it."""
        return True


if __name__ == "__main__":
    vars(store)["Ledger"] = Nowhere
    sys.argv[1:] = sys.argv[sys.argv.index("-n") :]
    run()
