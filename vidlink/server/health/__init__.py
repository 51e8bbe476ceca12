"""The server's health, :class:`.health.Health`: the checks behind alarms and probes, and metrics.

The paths under which they are asked for are in :mod:`vidlink.server.api.probes`.
"""
