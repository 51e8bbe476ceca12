"""Pure values of what is recorded: runs of sequences, gaps and statements, times.

Nothing here touches a file; what lies in files is :mod:`vidlink.store.files`.
"""
