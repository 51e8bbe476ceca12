"""The Sentinel: where pictures come from, how they are encoded, and the road to the server.

The daemon is :class:`.service.SentinelService`; :mod:`.tap` puts it together. What is said on the
road, and when, is decided in :mod:`vidlink.links.uplink`.
"""
