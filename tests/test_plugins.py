"""Tests of ``twisted/plugins``: a plugin that fails to import vanishes without a word."""

from __future__ import annotations

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vidlink.interfaces import ICodec

FORMATS = ("binary", "cbor", "protobuf", "json")
# The daemons, and the fewest options that each can be started with.
COMMANDS = {"vidlink-sentinel": ["--id", "desk-12"], "vidlink-server": []}


def makers() -> dict[str, IServiceMaker]:
    """VidLink's own service makers, by command."""
    found = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
    return {name: maker for name, maker in found.items() if name.startswith("vidlink")}


class ServiceMakerTests(SynchronousTestCase):
    """The two daemons as ``twistd`` sees them."""

    def test_commands(self) -> None:
        """``twistd`` knows both daemons, and no other of ours."""
        self.assertEqual(sorted(makers()), sorted(COMMANDS))

    def test_complete(self) -> None:
        """Each maker is all that ``twistd`` asks of one, its module's part included."""
        for name, maker in makers().items():
            with self.subTest(command=name):
                self.assertTrue(verifyObject(IServiceMaker, maker))

    def test_options(self) -> None:
        """A server needs no options at all, a sentinel only its id."""
        for name, maker in makers().items():
            with self.subTest(command=name):
                options = maker.options()
                self.assertIsInstance(options, Options)
                options.parseOptions(COMMANDS[name])


class CodecTests(SynchronousTestCase):
    """The formats of the wire, found as the server and the sentinel find them."""

    def test_formats(self) -> None:
        """All four are there, each once, in the order of the server's preference."""
        codecs = sorted(getPlugins(ICodec), key=lambda codec: codec.rank)
        self.assertEqual(len({codec.rank for codec in codecs}), len(codecs))
        names = [codec.name for codec in codecs]
        self.assertEqual(names, [f"vidlink.v1.{name}" for name in FORMATS])

    def test_complete(self) -> None:
        """Each provides all of `ICodec`."""
        for codec in getPlugins(ICodec):
            with self.subTest(codec=codec.name):
                self.assertTrue(verifyObject(ICodec, codec))
