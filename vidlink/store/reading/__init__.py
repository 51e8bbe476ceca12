"""History, read in the pool: listings and media for :class:`.archive.Archive`.

A session as one film is :mod:`vidlink.store.film`.
"""
