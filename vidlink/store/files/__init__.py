"""What lies in a data folder: its paths, and how each kind of file is laid out, read and written.

The database is :mod:`vidlink.store.index`; when something is written is said elsewhere.
"""
