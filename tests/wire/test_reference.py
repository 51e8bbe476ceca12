"""The reference says what the code does: its examples and tables, read and compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import vidlink.wire
from vidlink import errors
from vidlink.messages import Subscribe, limit_words
from vidlink.model import (
    USUAL,
    Limits,
    Segment,
)
from vidlink.relay.stream import EARLIER_SESSIONS
from vidlink.wire import schema
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.cbor import CborCodec
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.kinds import FLAG, OCTETS, Kind, Ratio, Sentence, Word
from vidlink.wire.protobuf import ProtobufCodec
from vidlink.wire.schema import TABLE, Said, from_plain, to_plain
from vidlink.wire.shapes import Either, Many, Named, OrNull, Record

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "wire.md").read_text("utf-8")

RATES_HEAD = ["who", "what", "in stock", "refilled"]
#: The names of the kinds of the schema in the reference.
SINGLE: tuple[tuple[Kind, str], ...] = (
    (schema.SENTINEL_ID, "sentinel id"),
    (schema.SESSION_ID, "session id"),
    (schema.PEER_ID, "token"),
    (schema.CODE, "code"),
    (schema.NAME, "name"),
    (schema.SEQUENCE, "sequence"),
    (schema.TIME_US, "time"),
    (schema.DURATION_MS, "duration"),
    (schema.FRAMERATE, "rate"),
    (schema.LAG, "lag"),
    (schema.SIZE, "pixels"),
    (schema.TIMESCALE, "timescale"),
    (FLAG, "flag"),
    (schema.RANGES, "ranges"),
    (OCTETS, "media"),
)
#: The names of records that stand in messages, and the beginnings of the text before each.
NESTED = {
    "Tail": ("tails", "A tail:"),
    "Wanted": ("wanted", "What is wanted of a tail:"),
    "SentinelStatus": ("rows", "A row:"),
    "Place": ("place", "A place:"),
}


def examples(text: str, language: str) -> list[str]:
    """The fenced blocks in `text` that are said to be in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def tables(text: str) -> list[list[list[str]]]:
    """The tables in `text`: rows of cells, without the line below the heads."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]
        for table in (re.sub(r"^\|[-|]+\|\n", "", table, flags=re.MULTILINE) for table in found)
    ]


def sections() -> dict[tuple[str, str], str]:
    """The text below the heading of each message, by its type and to whom it is sent."""
    parts = re.split(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        match = re.fullmatch(r"`([a-z.]+)`(?: to a (\w+))?", heading)
        if match:
            found[match[1], match[2] or ""] = text
    return found


def annotated(heading: str) -> list[tuple[bytes, str]]:
    """The octets that are written out in a section of the page, and the notes beside them."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    found = []
    for block in examples(rest.partition("\n## ")[0], "text"):
        lines = [re.split(r" {2,}", line, maxsplit=1) for line in block.splitlines()]
        payload = bytes.fromhex("".join(octets for octets, _ in lines))
        found.append((payload, " ".join(note for _, note in lines)))
    return found


def reader_of(said: Said) -> str:
    """To whom a message is sent, where its heading has to say so."""
    if said.word != "registered":
        return ""
    return "sentinel" if said.mark is None else "proctor"


def section_of(said: Said) -> str:
    """The section of one message."""
    return sections()[said.word, reader_of(said)]


def kind_name(kind: Any) -> str:
    """The name of `kind` in the reference."""
    for known, name in SINGLE:
        if known is kind:
            return name
    match kind:
        case OrNull():
            return f"{kind_name(kind.kind)} or null"
        case Sentence():
            return "sentence"
        case Ratio():
            return "ratio"
        case Word():
            return "word"
        case Named():
            return "map of limits"
        case Either():
            return f"{kind_name(kind.other)} or {kind_name(kind.record)}"
        case Many(kind=Record()):
            return f"list of {kind_name(kind.kind)}"
        case Many():
            return f"list of {kind_name(kind.kind)}s"
        case Record():
            return NESTED[kind.made.__name__][0]
    raise AssertionError(f"{kind} has no name")


def field_rows(record: Record) -> list[tuple[str, str, Any]]:
    """Name, kind and default of each field, as the code has them."""
    return [
        (
            f"`{field.name}`",
            kind_name(field.kind),
            _plain(field.kind, record.defaults[field.attribute])
            if field.attribute in record.defaults
            else "required",
        )
        for field in record.fields
    ]


def _plain(kind: Kind, value: Any) -> Any:
    return kind.dump(value)


def written_rows(table: list[list[str]]) -> list[tuple[str, str, Any]]:
    """The same as the reference has them."""
    head, *rows = table
    assert head == ["field", "kind", "default", "meaning"], head
    return [
        (name, kind, default if default == "required" else json.loads(default.strip("`")))
        for name, kind, default, _ in rows
    ]


def nested(record: Record) -> Iterator[tuple[str, Record]]:
    """The records inside `record`, and how their tables are announced."""
    for field in record.fields:
        kind: Any = field.kind
        inner = kind.kind if isinstance(kind, Many) else getattr(kind, "record", None)
        if isinstance(inner, Record):
            yield NESTED[inner.made.__name__][1], inner


class ExampleTests(SynchronousTestCase):
    """Every example in the reference is one."""

    codecs = (BinaryCodec(), CborCodec(), ProtobufCodec(), JsonCodec())

    def test_every_message_has_one(self) -> None:
        """No message is without an example, in its own section and of its own type."""
        for said in TABLE:
            with self.subTest(message=said.record.made.__name__):
                found = [self.decode(text) for text in examples(section_of(said), "json")]
                self.assertNotEqual(found, [])
                self.assertEqual({type(message) for message in found}, {said.record.made})

    def test_every_field_has_one(self) -> None:
        """Each field of each message is seen in use."""
        for said in TABLE:
            with self.subTest(message=said.record.made.__name__):
                texts = [json.loads(text) for text in examples(section_of(said), "json")]
                seen = {name for text in texts for name in text} - {"type"}
                known = {field.name for field in said.record.fields}
                # An init that is late looks like a segment that is.
                self.assertEqual(seen, known - ({"late"} if said.word == "init" else set()))

    def test_exact(self) -> None:
        """What the formats write for an example is the example, but for white space."""
        for text in examples(PAGE, "json"):
            with self.subTest(example=text):
                compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
                message = self.decode(text)
                for codec in self.codecs:
                    payload, is_binary = codec.encode(message)
                    self.assertEqual(codec.decode(payload, is_binary), message)
                    if not is_binary:
                        self.assertEqual(payload.decode(), compact)

    def test_octets(self) -> None:
        """The annotated octets are what the binary format gives, and mean what they say."""
        ((payload, notes),) = annotated("Media in binary frames")
        codec = BinaryCodec()
        message = codec.decode(payload, True)
        self.assertEqual(codec.encode(message), (payload, True))
        assert isinstance(message, Segment)
        for number in (
            f"duration: {message.duration_ms} ms",
            f"sequence: {message.sequence} ",
            f"startTime: {message.start_time_us} ",
            f"framerate: {message.framerate_mhz} mHz",
            f"sentinelId has {len(message.sentinel_id)} octets",
            f"sessionId has {len(message.session_id)} octets",
            "flags: keyframe ",
        ):
            self.assertIn(number, notes)
        self.assertTrue(message.is_keyframe)
        self.assertFalse(message.is_late)

    def test_octets_of_the_json_example(self) -> None:
        """The example of a segment in JSON is the same segment as the one in octets."""
        ((payload, _),) = annotated("Media in binary frames")
        first = examples(sections()["segment", ""], "json")[0]
        self.assertEqual(self.decode(first), BinaryCodec().decode(payload, True))

    def test_octets_of_other_formats(self) -> None:
        """So are those in CBOR and protobuf, octet by octet; and the second examples are alike."""
        segment = self.decode(examples(sections()["segment", ""], "json")[0])
        subscribe = self.decode(examples(sections()["subscribe", ""], "json")[1])
        assert isinstance(subscribe, Subscribe)
        for codec, heading in ((CborCodec(), "CBOR"), (ProtobufCodec(), "Protobuf")):
            first, second = annotated(heading)
            for (payload, _), message in ((first, segment), (second, subscribe)):
                self.assertEqual(codec.decode(payload, True), message)
                self.assertEqual(codec.encode(message), (payload, True))

    def test_notes_of_other_formats(self) -> None:
        """What is said of the octets is so: numbers, lengths and names."""
        for payload, notes in annotated("CBOR"):
            plain = to_plain(CborCodec().decode(payload, True))
            place = plain.get("startFrom", {})
            for name in (*plain, *place):
                self.assertIn(f" {name} ", notes)
            for number in (*plain.values(), *place.values()):
                if type(number) in (int, float):
                    self.assertRegex(notes, rf"\b{number}\b")
            self.assertIn(f"a map of {len(plain)} pairs", notes)
        proto = (Path(vidlink.wire.__file__).parent / "vidlink.proto").read_text("utf-8")
        for payload, notes in annotated("Protobuf"):
            lengths = re.findall(r"field (\d+), (\w+): (\d+) octets", notes)
            self.assertGreater(len(lengths), 3)
            for number, name, octets in lengths:
                self.assertIn(bytes((int(number) << 3 | 2, int(octets))), payload)
                self.assertIn(f" {name} = {number};", proto)

    def decode(self, text: str) -> Any:
        """The message in `text`."""
        return JsonCodec().decode(text.encode(), False)


class TableTests(SynchronousTestCase):
    """The tables of the reference are those of the code."""

    def test_sections(self) -> None:
        """Each message has a section, and each section a message, in one order."""
        words = [(said.word, reader_of(said)) for said in TABLE]
        self.assertEqual(list(sections()), words)

    def test_fields(self) -> None:
        """Names, kinds and defaults of all fields are as the code has them."""
        for said in TABLE:
            with self.subTest(message=said.record.made.__name__):
                first = tables(section_of(said))[0]
                self.assertEqual(written_rows(first), field_rows(said.record))

    def test_nested_fields(self) -> None:
        """So are those of the records inside of messages."""
        tried = set()
        for said in TABLE:
            for announced, record in nested(said.record):
                text = section_of(said).partition(f"\n{announced}\n")[2]
                with self.subTest(record=record.made.__name__):
                    self.assertEqual(written_rows(tables(text)[0]), field_rows(record))
                tried.add(record.made.__name__)
        self.assertEqual(tried, set(NESTED))

    def test_words(self) -> None:
        """Each word that a field may hold is explained in its row, and no other one."""
        for said in TABLE:
            for record in (said.record, *(inner for _, inner in nested(said.record))):
                for field in record.fields:
                    kind: Any = getattr(field.kind, "other", field.kind)
                    if isinstance(kind, Word):
                        row = next(
                            row
                            for table in tables(section_of(said))
                            for row in table
                            if row[0] == f"`{field.name}`"
                        )
                        words = re.findall(r"`([a-z]+)`", row[3])
                        self.assertEqual(words, [member.value for member in kind.words])

    def test_kinds(self) -> None:
        """Each kind that a field is of is explained, and no other one."""
        (table,) = (table for table in tables(PAGE) if table[0][:2] == ["kind", "JSON"])
        explained = {row[0] for row in table[1:]}
        used = {name for _, name in SINGLE} | {"sentence", "ratio", "word"}
        self.assertEqual(explained, used)

    def test_formats(self) -> None:
        """The formats stand in the order of the server's preference."""
        (table,) = (table for table in tables(PAGE) if table[0][0] == "subprotocol")
        codecs = sorted(ExampleTests.codecs, key=lambda codec: codec.rank)
        self.assertEqual([row[0].strip("`") for row in table[1:]], [c.name for c in codecs])

    def test_limits(self) -> None:
        """The limits are those that a server sends by default."""
        (table,) = (table for table in tables(PAGE) if table[0][0] == "limit")
        written = {row[0].strip("`"): int(row[1]) for row in table[1:]}
        self.assertEqual(written, limit_words(Limits()))

    def test_rates(self) -> None:
        """So are the rates."""
        (table,) = (table for table in tables(PAGE) if table[0] == RATES_HEAD)
        written = [(int(row[2]), float(row[3].removesuffix(" a second"))) for row in table[1:]]
        messages = (USUAL.messages, USUAL.messages_per_second)
        sessions = (USUAL.sessions, USUAL.sessions_per_second)
        earlier = (EARLIER_SESSIONS.burst, EARLIER_SESSIONS.per_second)
        allowed = [messages, messages, sessions, earlier]
        self.assertEqual(written, allowed)

    def test_close_codes(self) -> None:
        """Every close code is there with its word, and no other one."""
        (table,) = (table for table in tables(PAGE) if table[0][0] == "close code")
        written = {row[1].strip("`"): int(row[0]) for row in table[1:]}
        self.assertEqual(written, {kind.code: kind.close_code for kind in errors.CLOSINGS})

    def test_error_codes(self) -> None:
        """The errors that leave the connection open are those of requests."""
        (table,) = (table for table in tables(PAGE) if table[0] == ["`code` of `error`", "meaning"])
        for row in table[1:]:
            code = row[0].strip("`")
            kinds = [kind for kind in vars(errors).values() if getattr(kind, "code", "") == code]
            with self.subTest(code=code):
                self.assertTrue(any(issubclass(kind, errors.RequestError) for kind in kinds))

    def test_defaults_are_left_out(self) -> None:
        """A message made of its required fields has the defaults that the tables name."""
        for said in TABLE:
            text = json.loads(examples(section_of(said), "json")[0])
            if "data" in text:
                text["data"] = b"moof"
            required = {
                name: value
                for name, value in text.items()
                if name == "type"
                or any(
                    field.name == name and field.attribute not in said.record.defaults
                    for field in said.record.fields
                )
            }
            self.assertEqual(to_plain(from_plain(required)), required)
