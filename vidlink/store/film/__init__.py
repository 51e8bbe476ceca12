"""A session as something to play: the film as one body, time ranges of it, the HLS playlist.

Listings, and segments one by one, are :mod:`vidlink.store.reading`.
"""
