"""A Sentinel's spool on disk: what it captured and the server has not acknowledged yet.

Here belongs how it is kept through kills, power cuts and full disks, file by file
(docs/reference/spool.md); the spool in memory is `vidlink.sentinel.spool.memory`.
"""

from vidlink.sentinel.spool.opening import MOST_BYTES, open_spool
from vidlink.sentinel.spool.spool import DiskSpool

__all__ = ["MOST_BYTES", "DiskSpool", "open_spool"]
