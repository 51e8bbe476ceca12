"""The server's side of one Proctor's conversation, which begins in :mod:`.conversation`.

The socket is :mod:`vidlink.server.sockets.watch`; what is watched lies in :mod:`vidlink.relay`.
"""
