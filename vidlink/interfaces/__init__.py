"""The roles that the parts of VidLink play for each other, as zope interfaces.

Each has a contract suite in ``tests/contracts`` that every provider passes. Unless a member
says otherwise it is synchronous, is called in the reactor's thread, and does not block.
"""

from __future__ import annotations

from vidlink.interfaces.peers import ICapture, IProctorPeer, IPublisher, ISentinelPeer, IServerPeer
from vidlink.interfaces.recording import (
    LATE_LOAD,
    IArchive,
    IBody,
    IRetention,
    IStore,
    IStretch,
    IVitals,
)
from vidlink.interfaces.relay import IBuffer, IFollower
from vidlink.interfaces.spool import ISpool
from vidlink.interfaces.wire import ICodec

__all__ = [
    "LATE_LOAD",
    "IArchive",
    "IBody",
    "IBuffer",
    "ICapture",
    "ICodec",
    "IFollower",
    "IProctorPeer",
    "IPublisher",
    "IRetention",
    "ISentinelPeer",
    "IServerPeer",
    "ISpool",
    "IStore",
    "IStretch",
    "IVitals",
]
