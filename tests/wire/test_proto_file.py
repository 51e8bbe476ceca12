"""The table, ``vidlink.proto`` and the code that is made of it say the same."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from twisted.trial.unittest import SynchronousTestCase

from tests.test_packaging import lines
from vidlink.wire import vidlink_pb2
from vidlink.wire.kinds import Word
from vidlink.wire.protoshapes import words_of
from vidlink.wire.schema import TABLE
from vidlink.wire.shapes import Either, Many, OrNull, Record

ENVELOPE: Any = vidlink_pb2.DESCRIPTOR.message_types_by_name["Message"]
PROTO = Path(vidlink_pb2.__file__).parent / "vidlink.proto"


class AgreementTests(SynchronousTestCase):
    """Table, ``vidlink.proto`` and ``vidlink_pb2.py`` say the same."""

    def test_messages(self) -> None:
        """The envelope holds every message of the table, and nothing else."""
        held = [member.message_type.name for member in ENVELOPE.fields]
        self.assertEqual(sorted(held), sorted(said.record.made.__name__ for said in TABLE))
        self.assertEqual([choice.name for choice in ENVELOPE.oneofs], ["said"])
        self.assertEqual(len(ENVELOPE.oneofs[0].fields), len(held))

    def test_fields(self) -> None:
        """Each message has the fields of its record, and no other."""
        for record, message in self.pairs():
            # An `optional` is a oneof of one, with an underscore before its name.
            there = {
                (member.containing_oneof or member).name.removeprefix("_")
                for member in message.fields
            }
            here = {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), f.name) for f in record.fields}
            self.assertEqual(there, here, message.name)

    def test_presence(self) -> None:
        """No field that may be absent is taken for 0 then."""
        for _, message in self.pairs():
            for member in message.fields:
                self.assertTrue(member.is_repeated or member.has_presence, member.full_name)

    def test_words(self) -> None:
        """Each enum has the words of its kind, and a 0 that means nothing."""
        seen = 0
        for record, message in self.pairs():
            for known in record.fields:
                kind: Any = getattr(known.kind, "other", known.kind)
                if isinstance(kind, Word):
                    enum = next(
                        member.enum_type
                        for member in message.fields
                        if member.enum_type and member.enum_type.name == kind.words.__name__
                    )
                    words = [member.value for member in kind.words]
                    self.assertEqual(list(words_of(enum).values()), words)
                    self.assertTrue(enum.values_by_number[0].name.endswith("_UNSPECIFIED"))
                    seen += 1
        self.assertEqual(seen, 5)

    def test_generated(self) -> None:
        """The code that is checked in is made of ``vidlink.proto`` as it stands."""
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "vidlink.pb"
            command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parents[2]}"]
            path = PROTO.relative_to(PROTO.parents[2])
            subprocess.run(
                [*command, f"--descriptor_set_out={found}", str(path)], check=True, timeout=60
            )
            (parsed,) = FileDescriptorSet.FromString(found.read_bytes()).file
        checked_in = FileDescriptorProto.FromString(vidlink_pb2.DESCRIPTOR.serialized_pb)
        self.assertEqual(normal(parsed), normal(checked_in))

    def test_runtimes(self) -> None:
        """The generator is as old as the lowest runtime allowed; the highest takes its code.

        A runtime takes code made by its own major version or the one before, and by nothing
        newer than itself.
        """
        (bounds,) = (
            line.removeprefix("protobuf>=")
            for line in lines("setup.cfg", "options", "install_requires")
            if line.startswith("protobuf")
        )
        lowest, _, beyond = bounds.partition(",<")
        source = Path(vidlink_pb2.__file__).read_text("utf-8")
        made = re.search(r"^# Protobuf Python Version: (.*)$", source, re.MULTILINE)
        assert made is not None
        self.assertEqual(made[1], lowest)
        self.assertEqual(int(beyond), int(lowest.split(".")[0]) + 2)

    def pairs(self) -> Iterator[tuple[Record, Any]]:
        """Each record, those inside of others too, and its message."""
        messages = {member.message_type.name: member.message_type for member in ENVELOPE.fields}
        for said in TABLE:
            message = messages[said.record.made.__name__]
            yield said.record, message
            for known in said.record.fields:
                kind: Any = known.kind.kind if isinstance(known.kind, OrNull) else known.kind
                inner = kind.record if isinstance(kind, Either) else kind
                inner = inner.kind if isinstance(inner, Many) else inner
                if isinstance(inner, Record):
                    yield inner, message.nested_types_by_name[inner.made.__name__]


def normal(file: FileDescriptorProto) -> FileDescriptorProto:
    """`file` without the names in JSON, which one generator adds and another does not."""
    waiting = list(file.message_type)
    for message in waiting:
        waiting.extend(message.nested_type)
        for member in message.field:
            member.ClearField("json_name")
    return file
