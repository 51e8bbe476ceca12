"""All that crosses from one thread of the store to another, and nothing else.

The threads are :mod:`vidlink.store.writing` and :mod:`vidlink.store.deleting`.
"""
