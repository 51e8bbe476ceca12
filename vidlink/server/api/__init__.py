"""The HTTP interface, :class:`.history.Api`: requests into questions, values into answers.

The answers are found in :mod:`vidlink.store.reading`; connections are :mod:`vidlink.server.port`.
"""
