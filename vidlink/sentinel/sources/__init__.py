"""Where pictures come from: a screen, a device, a file or a test pattern, by :mod:`.choice`.

When one is taken, and what becomes of it, is :mod:`vidlink.sentinel.capture`.
"""
