"""The ground that commands stand on: options that they share, and how they talk with a person.

What each of them does is in :mod:`vidlink.commands`.
"""
