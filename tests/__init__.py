"""The promises of VidLink, each told by one test; this tree mirrors the package.

It is a package, folders included, so that both pytest and trial find every test in it.
"""

from hypothesis import settings

# A busy machine is slow at times; how long an example takes is nobody's promise.
settings.register_profile("vidlink", deadline=None)
settings.load_profile("vidlink")
