"""What VidLink adds to Twisted: two ``twistd`` commands and the formats of its wire.

Other packages can add formats in the same way: any object that provides both
`twisted.plugin.IPlugin` and `vidlink.interfaces.ICodec`, in a module of this folder.
"""

from twisted.application.service import ServiceMaker
from twisted.plugin import IPlugin
from zope.interface import alsoProvides

from vidlink.wire.binary import BinaryCodec
from vidlink.wire.cbor import CborCodec
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.protobuf import ProtobufCodec

vidlink_server = ServiceMaker(
    "VidLink server",
    "vidlink.server.tap",
    "Relay and record what sentinels send, and show it to proctors.",
    "vidlink-server",
)

vidlink_sentinel = ServiceMaker(
    "VidLink sentinel",
    "vidlink.sentinel.tap",
    "Capture a screen and send it to a VidLink server.",
    "vidlink-sentinel",
)

vidlink_binary = BinaryCodec()
vidlink_cbor = CborCodec()
vidlink_protobuf = ProtobufCodec()
vidlink_json = JsonCodec()

# The formats know nothing of Twisted, so it is said here that they are plugins.
alsoProvides(vidlink_binary, IPlugin)
alsoProvides(vidlink_cbor, IPlugin)
alsoProvides(vidlink_protobuf, IPlugin)
alsoProvides(vidlink_json, IPlugin)
