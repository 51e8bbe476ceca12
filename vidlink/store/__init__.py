"""The recording of every session, and its index.

Here belongs whatever touches the data folder: the threads, the files, SQLite, recovery and
reading back. No sockets. The bytes of boxes are the business of `vidlink.fmp4`; what
viewers see live is in `vidlink.relay`.
"""

from vidlink.store.store import RecordingStore

__all__ = ["RecordingStore"]
