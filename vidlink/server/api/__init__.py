"""The HTTP interface: requests into questions, values into JSON. Its paths are in :mod:`.history`.

The answers are found in :mod:`vidlink.store.reading`; connections are :mod:`vidlink.server.port`.
"""
