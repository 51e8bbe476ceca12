"""Connecting to a server, for sentinels and clients alike: its address and whom to trust, when to
try again, the WebSocket, and what is said when nothing comes of it.

The conversation on it is :mod:`vidlink.links`' and :mod:`vidlink.client`'s.
"""
