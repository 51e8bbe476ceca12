"""The files of a data folder: their paths, and how each kind is laid out, read and written.

The database is :mod:`vidlink.store.index`; when something is written is said elsewhere.
"""
