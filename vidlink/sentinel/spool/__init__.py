"""A Sentinel's spool: what it captured and the server has not acknowledged yet.

Here belongs how it is kept through kills, power cuts and full disks, file by file
(docs/reference/spool.md), by :mod:`.opening`; or in memory alone, by :mod:`.memory`, also where a
system has not the locks that a disk needs.
"""
