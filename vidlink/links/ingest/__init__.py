"""The server's side of one Sentinel's conversation, which begins in :mod:`.conversation`.

The Sentinel's own side is :mod:`vidlink.links.uplink`; the socket is
:mod:`vidlink.server.sockets.ingest`.
"""
