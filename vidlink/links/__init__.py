"""The conversations: who may say what, and when; messages in, decisions out.

A folder for each: :mod:`.ingest` and :mod:`.watch` are led by the server, :mod:`.uplink` by the
Sentinel. Here are no sockets, no disk and no reactor; of Twisted, Deferreds and a clock's role.
"""
