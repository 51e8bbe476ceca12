"""The writer's thread: rounds of :class:`.writer.Writer` that bring what waits to the disk.

What waits is :mod:`vidlink.store.queue`; how orders cross is :mod:`vidlink.store.handover`.
"""
