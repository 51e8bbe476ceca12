"""The formats: messages to bytes and back, for peers that may be hostile. No Twisted.

A format is a module with a codec (:mod:`.binary`, :mod:`.cbor`, :mod:`.protobuf`,
:mod:`.jsontext`); they share one table of all messages, :mod:`.schema`. The messages themselves
are in :mod:`vidlink.messages`, who may say what and when is in :mod:`vidlink.links`.
"""
