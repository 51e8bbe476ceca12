"""VidLink: live screens relayed and recorded, from many sentinels to many proctors.

Only the version lives here; ``vidlink.model`` holds the values, ``vidlink.interfaces`` the roles.
"""

__version__ = "0.1.0"
