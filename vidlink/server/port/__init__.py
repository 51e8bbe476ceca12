"""The one port of the server, :class:`.site.Site`: connections, bounds, and who may come in.

What is answered there is :mod:`vidlink.server.api` and :mod:`vidlink.server.sockets`.
"""
