"""The Sentinel's side of its conversation with the server, which begins in :mod:`.conversation`.

The server's side is :mod:`vidlink.links.ingest`; the socket is :mod:`vidlink.sentinel.uplink`.
"""
