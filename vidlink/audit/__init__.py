"""The audit trail: who logged in, watched, fetched, deleted, held, controlled, and when.

Entries are chained by digests, so that one that was changed or taken away shows
(:mod:`vidlink.audit.chain`); they are appended in a thread, and nobody waits for that
(:mod:`vidlink.audit.trail`).
"""
