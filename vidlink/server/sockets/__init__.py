"""The server's WebSockets, :class:`.ingest.IngestProtocol` and :class:`.watch.WatchProtocol`.

They are Autobahn's side of the conversations in :mod:`vidlink.links`.

The port on which they arrive is :mod:`vidlink.server.port`.
"""
