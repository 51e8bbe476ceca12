"""Whoever connects to a server: where it is and whom to trust, when to try again, and the WebSocket
that is opened. What is said on it is decided in :mod:`vidlink.links` and :mod:`vidlink.client`.
"""
