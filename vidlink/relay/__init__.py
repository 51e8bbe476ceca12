"""The live streams: what is remembered of them, and who hears of it. No sockets, no disk.

All of them together are the hub (:mod:`.hub`), one is a stream (:mod:`.stream`); conversations,
which use both, are in :mod:`vidlink.links`.
"""
