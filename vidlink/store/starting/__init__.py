"""The start, before the reactor runs: what was left of the last time is read, cut and closed.

A check that an operator asks for is :mod:`vidlink.store.fsck`.
"""
