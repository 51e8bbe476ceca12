"""The database of sessions, spans and gaps: :class:`.database.Index` writes, :mod:`.catalog` reads.

The records of segments are not in it; they are files, in :mod:`vidlink.store.files`.
"""
