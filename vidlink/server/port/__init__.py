"""The one port that everything is served on: connections, their bounds, and who may come in.

What is answered there is :mod:`vidlink.server.api` and :mod:`vidlink.server.sockets`.
"""
