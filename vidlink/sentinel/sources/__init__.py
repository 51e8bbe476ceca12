"""Sources of pictures: a screen, a device, a file or a test pattern, by :mod:`.choice`.

Pictures are taken and encoded by :mod:`vidlink.sentinel.capture`.
"""
