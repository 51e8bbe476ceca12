"""Pure values over sequences and times: runs, windows, statements, gaps.

Nothing here touches a file; what lies in files is :mod:`vidlink.store.files`.
"""
