"""The server: one port, HTTP for page and history, WebSockets for Sentinels and Proctors.

The daemon is :class:`.service.ServerService`; :mod:`.tap` puts it together with relay and store.
"""
