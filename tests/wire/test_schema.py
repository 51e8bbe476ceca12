"""The bounds of the fields of control messages, the same in every format."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import MESSAGES, UNSPEAKABLE, any_message
from vidlink.errors import BadMessage
from vidlink.messages import (
    Ack,
    Clock,
    Focus,
    FramerateChange,
    Message,
    Place,
    ProctorRegistered,
    SentinelRegister,
    SentinelRegistered,
    Subscribe,
    Subscribed,
    Tail,
)
from vidlink.wire.schema import MEDIA_WORDS, TABLE, from_plain, to_plain

SESSION = "q7Jm2xVd0bR4tK9w"
DESK = {"sentinelId": "desk-12"}
REGISTER: dict[str, Any] = {
    "type": "sentinel.register",
    "sentinelId": "desk-12",
    "instanceId": "i",
    "software": "s",
    "sessionId": SESSION,
}
ACK: dict[str, Any] = {"type": "ack", "sessionId": SESSION, "sequence": 7}
GAP: dict[str, Any] = {"type": "gap", "sessionId": SESSION, "first": 3, "last": 4, "cause": "lost"}
FPS: dict[str, Any] = {"type": "fps.change", **DESK}
SUBSCRIBE: dict[str, Any] = {"type": "subscribe", **DESK}
NOT_INTEGERS: tuple[object, ...] = (True, False, 1.0, "1", None, [], {}, float("nan"))

any_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just(2**200)
    | st.sampled_from(("live", SESSION, "desk-12")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("sessionId", "sentinelId", "first", "last", "sequence", "x")), inner
        )
    ),
    max_leaves=6,
)

#: Plain values that are no message, and how the error has to begin.
WRONG: list[tuple[object, str]] = [
    (None, "a message must be a map"),
    ([], "a message must be a map, not a list of 0"),
    ("focus", "a message must be a map"),
    ({}, "a message's type must be a known word, not absent"),
    ({"type": None}, "a message's type must be a known word, not None"),
    ({"type": ["focus"]}, "a message's type must be a known word, not a list of 1"),
    ({"type": {}}, "a message's type must be a known word, not a map of 0"),
    ({"type": "Focus"}, "a message's type must be a known word, not 'Focus'"),
    ({"type": "x" * 1_000_000}, "a message's type must be a known word, not 'xxx"),
    ({"type": "focus"}, "focus: sentinelId must be there, not absent"),
    *(
        (
            {"type": "unsubscribe", "sentinelId": wrong},
            "unsubscribe: sentinelId must be a text like",
        )
        for wrong in (None, "", "-desk", ".", "a/b", "a b", "d" * 65, "désk", "desk\n", "٣")
    ),
    *(
        ({**ACK, "sessionId": wrong}, "ack: sessionId must be a text like")
        for wrong in (None, "", "s" * 15, "s" * 65, "s" * 15 + ".", "s" * 16 + "\n")
    ),
    *(
        ({**REGISTER, "instanceId": wrong}, "sentinel.register: instanceId must be a text like")
        for wrong in (None, "", "i" * 65, "a b", "a.b")
    ),
    *(
        (
            {**REGISTER, "name": f"a{wrong}b"},
            "sentinel.register: name must be a text of at most 128",
        )
        for wrong in (*UNSPEAKABLE, "\ud800", "\udfff", "x" * 127)
    ),
    *(
        ({**REGISTER, field: wrong}, f"sentinel.register: {field} must be a text of at most 128")
        for field in ("name", "group", "software")
        for wrong in (None, 7, b"name", ["a"])
    ),
    *(
        ({**ACK, "sequence": wrong}, "ack: sequence must be an integer from 0 to 4294967295")
        for wrong in (*NOT_INTEGERS, -1, 2**32, 10**5_000)
    ),
    *(
        ({"type": "clock", "t0": wrong}, "clock: t0 must be an integer from -9007199254740991")
        for wrong in (*NOT_INTEGERS, 2**53, -(2**53), 2**63)
    ),
    ({"type": "clock", "t0": 1, "t1": 2}, "clock: t2 must be there together with t1"),
    ({"type": "clock", "t0": 1, "t2": 2}, "clock: t2 must be there together with t1"),
    *(
        ({**ACK, "load": wrong}, "ack: load must be a number from 0 to 1")
        for wrong in (True, "0", None, -0.1, 1.1, float("inf"), float("nan"), 10**400)
    ),
    *(
        ({**FPS, "framerate": wrong}, "fps.change: framerate must be a number from 0.001 to 1000")
        for wrong in (True, "5", None, 0, 0.0, -1, 0.0005, 0.2001, 1_000.001, 1e308)
    ),
    *(
        ({**FPS, "framerate": wrong}, "fps.change: framerate must be a number from 0.001 to 1000")
        for wrong in (float("inf"), float("nan"), 10**400)
    ),
    *(
        ({**SUBSCRIBE, "maxLag": wrong}, "subscribe: maxLag must be a number from 0 to 3600")
        for wrong in (True, "5", -1, -0.001, 3_600.001, 0.0001, float("inf"))
    ),
    *(
        ({**SUBSCRIBE, "tier": wrong}, "subscribe: tier must be one of full, keyframes")
        for wrong in (None, "Full", "FULL", 1, ["full"])
    ),
    *(
        ({**SUBSCRIBE, "startFrom": wrong}, "subscribe: startFrom must be one of latest, oldest")
        for wrong in (None, "newest", 7, [SESSION, 7])
    ),
    (
        {**SUBSCRIBE, "startFrom": {"sessionId": SESSION}},
        "subscribe: startFrom.sequence must be there, not absent",
    ),
    ({**GAP, "first": 5}, "gap: last must be at least first (5), not 4"),
    ({**GAP, "cause": "a\nb"}, "gap: cause must be a text of at most 1024"),
    ({**GAP, "cause": "x" * 1_025}, "gap: cause must be a text of at most 1024"),
    ({**ACK, "missing": {}}, "ack: missing must be a list of at most 1024, not a map of 0"),
    (
        {**ACK, "missing": [[1, 2]] * 1_025},
        "ack: missing must be a list of at most 1024, not a list of 1025",
    ),
    ({**ACK, "missing": [[1, 2], [2, 1]]}, "ack: missing[1] must be first and last in this order"),
    ({**ACK, "missing": [[1]]}, "ack: missing[0] must be a list of first and last"),
    ({**ACK, "missing": [[1, True]]}, "ack: missing[0] must be an integer"),
    (
        {**REGISTER, "resume": [{"sessionId": SESSION, "first": 2, "last": 1}]},
        "sentinel.register: resume[0].last must be at least first (2), not 1",
    ),
    (
        {**REGISTER, "resume": [{"sessionId": SESSION, "first": 0, "last": 1}, 7]},
        "sentinel.register: resume[1] must be a map, not 7",
    ),
    (
        {"type": "registered", "serverTime": 1, "resume": [{"sessionId": SESSION, "missing": [7]}]},
        "registered: resume[0].missing[0] must be a list of first and last, not 7",
    ),
    ({"type": "registered", "serverTime": 1, "limits": {"a": -1}}, "registered: limits"),
    ({"type": "registered", "serverTime": 1, "limits": {"a b": 1}}, "registered: limits"),
    (
        {"type": "registered", "serverTime": 1, "limits": {f"a{n}": n for n in range(65)}},
        "registered: limits must be a map of at most 64, not a map of 65",
    ),
    ({"type": "registered", "serverTime": 1, "proctorId": 7}, "registered: proctorId"),
    ({"type": "registered", "serverTime": 1, "proctorId": "p"}, "registered: may must be there"),
    ({"type": "error", "code": "Bad", "message": ""}, "error: code must be a text like"),
    ({"type": "sentinels", "full": 1, "sentinels": []}, "sentinels: full must be true or false"),
]


class SchemaTests(SynchronousTestCase):
    """Plain values to messages."""

    def test_wrong(self) -> None:
        """Each wrong value is refused, by the name of its field, in one short line."""
        for plain, beginning in WRONG:
            with self.subTest(beginning=beginning):
                error = self.assertRaises(BadMessage, from_plain, plain)
                self.assertTrue(str(error).startswith(beginning), str(error))
                self.assertLess(len(str(error)), 250)
                self.assertTrue(str(error).isprintable(), str(error))

    @given(st.data())
    def test_required(self, data: st.DataObject) -> None:
        """Without one of its required fields a message is none; every optional one may go."""
        for said in TABLE:
            whole = to_plain(data.draw(MESSAGES[said.record.made]))
            optional = {
                field.name
                for field in said.record.fields
                if field.attribute in said.record.defaults
            }
            bare = {name: value for name, value in whole.items() if name not in optional}
            self.assertIs(type(from_plain(bare)), said.record.made)
            for name in bare.keys() - {"type", said.mark}:
                plain = {other: value for other, value in whole.items() if other != name}
                error = self.assertRaises(BadMessage, from_plain, plain)
                self.assertIn(f"{name} must be there", str(error))

    @given(any_message, any_plain, st.data())
    def test_any_value(self, message: Message, value: Any, data: st.DataObject) -> None:
        """Whatever stands in a field, at whatever depth, is taken or refused in one short line."""
        plain = to_plain(message)
        inner: Any = plain
        while True:
            place = data.draw(
                st.sampled_from(sorted(inner) if inner is plain else range(len(inner)))
            )
            if data.draw(st.booleans()) or not (isinstance(inner[place], list) and inner[place]):
                break
            inner = inner[place]
        inner[place] = value
        try:
            taken = from_plain(plain)
        except BadMessage as error:
            self.assertLess(len(str(error)), 300)
            self.assertTrue(str(error).isprintable(), str(error))
        else:
            self.assertEqual(from_plain(to_plain(taken)), taken)

    def test_unknown_fields(self) -> None:
        """What a later version adds is passed over, wherever it stands."""
        tail = {"sessionId": SESSION, "first": 1, "last": 2, "codec": "av1"}
        message = from_plain({"mood": [1, {}], **REGISTER, "resume": [tail], "type2": None})
        expected = SentinelRegister("desk-12", "i", "s", SESSION, resume=(Tail(SESSION, 1, 2),))
        self.assertEqual(message, expected)

    def test_absent_and_null(self) -> None:
        """Null where a value may be unknown is the same as its absence."""
        bare = {"type": "subscribed", **DESK}
        self.assertEqual(from_plain(bare), Subscribed("desk-12"))
        self.assertEqual(from_plain({**bare, "sessionId": None, "width": None}), from_plain(bare))
        self.assertEqual(from_plain({**SUBSCRIBE, "maxLag": None}), Subscribe("desk-12"))
        self.assertEqual(from_plain({"type": "focus", "sentinelId": None}), Focus(None))

    def test_left_out(self) -> None:
        """What a receiver assumes anyway is not said."""
        self.assertEqual(to_plain(Ack(SESSION, 7, (), 0.0)), ACK)
        self.assertEqual(to_plain(Subscribe("desk-12")), SUBSCRIBE)
        self.assertEqual(to_plain(Clock(7)), {"type": "clock", "t0": 7})
        self.assertEqual(to_plain(Subscribed("desk-12")), {"type": "subscribed", **DESK})

    def test_registered(self) -> None:
        """The two answers to a registration are told apart by the Proctor's name in one."""
        sentinel = {"type": "registered", "serverTime": 7}
        proctor = {**sentinel, "may": ["watch"], "proctorId": "p"}
        self.assertEqual(from_plain(sentinel), SentinelRegistered(7))
        self.assertEqual(from_plain(proctor), ProctorRegistered("p", 7, ("watch",)))

    def test_start_from(self) -> None:
        """A place is a map, the ends of the buffer are words."""
        place = {"sessionId": SESSION, "sequence": 7}
        message = from_plain({**SUBSCRIBE, "startFrom": place})
        self.assertEqual(message, Subscribe("desk-12", Place(SESSION, 7)))
        self.assertEqual(to_plain(message)["startFrom"], place)

    def test_thousandths(self) -> None:
        """Rates and lags are exact, and whole numbers are written as such."""
        for thousandths in (*range(1, 20_000, 7), 999_999, 1_000_000):
            plain = to_plain(FramerateChange("desk-12", thousandths))
            self.assertEqual(from_plain(plain), FramerateChange("desk-12", thousandths))
            self.assertIs(type(plain["framerate"]), float if thousandths % 1_000 else int)
        for same in (5, 5.0):
            message = from_plain({**FPS, "framerate": same})
            self.assertEqual(message, FramerateChange("desk-12", 5_000))

    def test_bounds(self) -> None:
        """The ends of each range are in it."""
        for sequence in (0, 2**32 - 1):
            from_plain({**ACK, "sequence": sequence, "missing": [[0, sequence]] * 1_024})
        for time in (1 - 2**53, 2**53 - 1):
            from_plain({"type": "clock", "t0": time, "t1": time, "t2": time})
        for lag in (0, 0.001, 3_600):
            from_plain({**SUBSCRIBE, "maxLag": lag})
        for name in ("", "x" * 128, "נתן", "\N{VIDEO CAMERA}" * 128):
            from_plain({**REGISTER, "name": name})


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_fields(self) -> None:
        """Every attribute of every message stands in the table once."""
        for said in TABLE:
            with self.subTest(message=said.record.made.__name__):
                attributes = sorted(field.attribute for field in said.record.fields)
                self.assertEqual(attributes, sorted(said.record.made.__slots__))  # type: ignore[attr-defined]
                names = [field.name for field in said.record.fields]
                self.assertEqual(len(names), len(set(names)))
                self.assertNotIn("type", names)

    def test_media(self) -> None:
        """Exactly the messages with `data` carry media."""
        with_data = {
            said.word for said in TABLE if any(f.name == "data" for f in said.record.fields)
        }
        self.assertEqual(with_data, MEDIA_WORDS)
