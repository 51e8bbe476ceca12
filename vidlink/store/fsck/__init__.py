"""Checking a data folder, and mending it: all that ``vidlink fsck`` does, without a terminal.

The whole of it is in `check`; `session` and `part` look, `mending` and `rebuild` change.
"""
