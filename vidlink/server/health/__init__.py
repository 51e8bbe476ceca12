"""How the server does: the checks behind its alarms and probes, and its metrics.

The paths under which they are asked for are in :mod:`vidlink.server.api.probes`.
"""
