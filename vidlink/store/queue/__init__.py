"""The reactor's side of recording: what waits for the disk, led by :class:`.ledger.Ledger`.

What becomes of it in the writer's thread is :mod:`vidlink.store.writing`.
"""
