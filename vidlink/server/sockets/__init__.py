"""The server's WebSockets: Autobahn's side of the conversations in :mod:`vidlink.links`.

The port on which they arrive is :mod:`vidlink.server.port`.
"""
