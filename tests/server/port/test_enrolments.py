"""Machines that enrol at a whole server in memory, and what becomes of them there."""

from __future__ import annotations

from typing import Any

from tests.server.port.closed import WARD, ClosedCase, Speaker, bearer
from tests.server.sockets.opened import Answer
from vidlink.audit.files import AuditFiles
from vidlink.disk import Disk
from vidlink.model import AuditQuery, Deed, Role

PATH = "/api/v1/enrolments"
#: What the token of the room is called by the server.
ROOM = "token-2"


def machine(number: int) -> str:
    """The fingerprint of a machine."""
    return f"{number:064x}"


class EnrolmentCase(ClosedCase):
    """A room in the ward whose machines have one token."""

    def apply(self, asked_id: str, number: int, **more: Any) -> Answer:
        """The answer to machine `number`, which asks to be `asked_id`."""
        value = {"sentinelId": asked_id, "machine": machine(number), "software": "test/1", **more}
        return self.ask("POST", PATH, self.shown["image"], value)

    def enrol(self, asked_id: str, number: int) -> Any:
        """What machine `number` is told."""
        answer = self.apply(asked_id, number)
        self.assertEqual(answer.status, 201)
        return answer.json

    def join(self, told: Any, sentinel_id: str = "", instance: str = "one") -> Speaker:
        """A Sentinel that shows what it was told."""
        speaker = self.dial("/ws/sentinel", bearer(told["token"]))
        self.assertEqual(speaker.status, 101)
        self.register(speaker, sentinel_id or told["sentinelId"], "", instance)
        self.tick(0.1)
        return speaker

    def listed(self) -> Any:
        """What the administrator is shown."""
        return self.ask("GET", PATH, self.shown["administrator"]).json["enrolments"]


class RoomTests(EnrolmentCase):
    """A room that is switched on."""

    def test_thirty(self) -> None:
        """30 machines enrol with one token; each is a sentinel of the room's group by its own, as
        nobody else; and the administrator is shown all of them, page by page."""
        told = [self.enrol(f"desk-{number:02d}", number) for number in range(30)]
        self.assertEqual(len({one["token"] for one in told}), 30)
        self.assertEqual({one["group"] for one in told}, {WARD})
        for one in told:
            self.assertIsNone(self.join(one).close_code)
            stream = self.hub.stream(one["sentinelId"])
            assert stream is not None
            self.assertEqual(stream.group, WARD)
        self.assertEqual(self.join(told[1], "desk-00").close_code, 4403)
        self.assertEqual(self.ask("GET", "/api/v1/me", bearer(told[0]["token"])).json["may"],
                         ["publish"])  # fmt: skip
        names = []
        after = ""
        while after is not None:
            target = f"{PATH}?limit=7" + (f"&after={after}" if after else "")
            page = self.ask("GET", target, self.shown["administrator"]).json
            names += [row["sentinelId"] for row in page["enrolments"]]
            after = page["next"]
        self.assertEqual(names, [one["sentinelId"] for one in told])

    def test_written_down(self) -> None:
        """The audit has who enrolled, from where and by which token; that a token was made by hand
        is not said of it."""
        self.enrol("desk-1", 1)
        entries = AuditFiles(self.audit_folder, Disk()).page(AuditQuery(deed=Deed.ENROLLED)).entries
        (entry,) = entries
        self.assertEqual(entry.about, {"sentinel": "desk-1", "machine": machine(1)})
        self.assertEqual((entry.credential_id, entry.address), (f"token:{ROOM}", "127.0.0.1"))

    def test_quietly(self) -> None:
        """What enrolment gives, and takes away for it, is no change by an operator; a machine that
        is put out is."""
        changes: list[Any] = []
        self.keys.register.did = lambda **about: changes.append(about)
        self.enrol("desk-1", 1)
        self.enrol("desk-1", 1)
        self.tick()
        self.assertEqual(changes, [])
        (row,) = self.listed()
        self.keys.credentials.remove_token(row["ownToken"])
        self.tick()
        self.assertEqual(changes, [{"token": f"{row['ownToken']} of desk-1", "how": "removed"}])

    def test_refused(self) -> None:
        """What is asked for wrongly is refused in words, and nobody is enrolled by it."""
        for more, parameter in (
            ({"sentinelId": "-"}, "sentinelId"),
            ({"sentinelId": "a" * 65}, "sentinelId"),
            ({"machine": "A" * 64}, "machine"),
            ({"machine": "a" * 63}, "machine"),
            ({"software": ""}, "software"),
            ({"software": "a" * 129}, "software"),
            ({"group": "Room B"}, "group"),
        ):
            answer = self.apply("desk-1", 1, **more)
            self.assertEqual((answer.status, answer.error_code), (400, "bad-parameter"), more)
            self.assertIn(parameter, answer.json["error"]["message"])
        for shown in ("sentinel", "administrator", "stranger"):
            status = self.ask("POST", PATH, self.shown[shown], {}).status
            self.assertNotEqual(status, 201)
        self.assertEqual(self.listed(), [])

    def test_closed(self) -> None:
        """A room's token that is revoked enrols nobody any more; its machines go on."""
        speaker = self.join(self.enrol("desk-1", 1))
        self.keys.revoke(2)
        self.assertEqual(self.apply("desk-2", 2).status, 401)
        self.tick(5)
        self.assertIsNone(speaker.close_code)

    def test_full(self) -> None:
        """One that has enrolled as many as it may says so, with a status of its own."""
        self.keys.credentials.remove_token(ROOM)
        self.shown["image"] = bearer(self.keys.token(Role.ENROLMENT, most=1))
        self.enrol("desk-1", 1)
        answer = self.apply("desk-2", 2)
        self.assertEqual((answer.status, answer.error_code), (409, "enrolment-closed"))
        self.assertIn("(1)", answer.json["error"]["message"])


class ClonesTests(EnrolmentCase):
    """Machines that were copied."""

    def alarms(self, watcher: Speaker) -> list[str]:
        """What a proctor was alarmed with."""
        return [one["message"] for one in watcher.heard_of("error") if one["code"] == "id-in-use"]

    def test_one_id(self) -> None:
        """Two machines that ask for one id are both seen, each as itself; a proctor hears of it
        with both addresses, once, and the administrator is shown who asked for what."""
        watcher = self.proctor("proctor of all")
        first = self.enrol("desk-1", 1)
        speakers = [self.join(first)]
        self.enrol("desk-1", 2)
        second = self.enrol("desk-1", 2)
        self.assertNotEqual(first["sentinelId"], second["sentinelId"])
        speakers.append(self.join(second))
        self.tick()
        (alarm,) = self.alarms(watcher)
        self.assertRegex(alarm, "the id desk-1: .*127.0.0.1.* has it, 127.0.0.1 is now desk-1_")
        self.assertEqual([one.close_code for one in speakers], [None, None])
        self.assertEqual([row["askedId"] for row in self.listed()], ["desk-1", "desk-1"])

    def test_one_token(self) -> None:
        """Two machines with one token: the one that is there stays, the other is refused with 4410
        however often it comes, and a proctor is alarmed with both addresses."""
        watcher = self.proctor("proctor of all")
        told = self.enrol("desk-1", 1)
        first = self.join(told)
        for _ in range(3):
            second = self.join(told, instance="two")
            first.pong()
            self.tick()
            self.assertEqual((first.close_code, second.close_code), (None, 4410))
        (alarm,) = self.alarms(watcher)
        self.assertIn("two machines use the id desk-1", alarm)
        self.assertEqual(alarm.count("127.0.0.1"), 2)

    def test_copy_of_everything(self) -> None:
        """A copy that is the same machine in everything, and enrols while the other is connected,
        does not take its token from under it; it becomes a sentinel of its own, with an alarm."""
        watcher = self.proctor("proctor of all")
        first = self.join(self.enrol("desk-1", 1))
        value = {"sentinelId": "desk-1", "machine": machine(1), "software": "test/1"}
        asking = self.connect("POST", PATH, self.shown["image"], value)
        self.tick(0.1)
        first.pong()
        self.tick(0.1)
        (answer,) = asking.answers()
        self.assertEqual(answer.status, 201)
        self.assertRegex(answer.json["sentinelId"], "^desk-1_[0-9a-f]{4}$")
        second = self.join(answer.json)
        self.assertEqual((first.close_code, second.close_code), (None, None))
        self.assertEqual(len(self.alarms(watcher)), 1)

    def test_comes_back(self) -> None:
        """A machine whose old connection hangs, and does not answer, is what it was."""
        self.join(self.enrol("desk-1", 1))
        value = {"sentinelId": "desk-1", "machine": machine(1), "software": "test/1"}
        asking = self.connect("POST", PATH, self.shown["image"], value)
        self.assertEqual(asking.answers(), [])
        self.tick(2.5)
        (answer,) = asking.answers()
        self.assertEqual(answer.json["sentinelId"], "desk-1")


class RevokedTests(EnrolmentCase):
    """Machines that are put out."""

    def refusals(self) -> list[tuple[str, dict[str, Any]]]:
        """Who was refused, and what the audit says of it, oldest first."""
        query = AuditQuery(deed=Deed.REFUSED)
        entries = AuditFiles(self.audit_folder, Disk()).page(query).entries
        self.assertEqual({one.address for one in entries}, {"127.0.0.1"})
        return [(one.who, dict(one.about)) for one in reversed(entries)]

    def test_refused_is_written_down(self) -> None:
        """Whoever is refused at enrolling is in the audit with why: with a token that is full,
        that is none of a room, or that nobody knows; and a machine that was revoked."""
        self.enrol("desk-1", 1)
        self.keys.credentials.remove_token(self.listed()[0]["ownToken"])
        self.tick()
        self.apply("desk-1", 1)
        self.shown["image"] = bearer(self.keys.token(Role.ENROLMENT, most=0))
        self.tick()
        self.apply("desk-2", 2)
        self.shown["image"] = bearer("vidlink_" + "x" * 43)
        self.apply("desk-3", 3)
        self.shown["image"] = self.shown["sentinel"]
        self.apply("desk-4", 4)

        def about(number: int, why: str) -> dict[str, str]:
            sentinel, fingerprint = f"desk-{number}", machine(number)
            return {"via": "enrolment", "sentinel": sentinel, "machine": fingerprint, "why": why}

        unknown = {"via": "token", "path": PATH, "why": "not-authenticated"}
        (who, revoked), (_, full), (nobody, none), (_, other) = self.refusals()
        self.assertEqual((who, nobody), ("program 2", ""))
        self.assertEqual(revoked, about(1, "forbidden"))
        self.assertEqual(full, about(2, "enrolment-closed"))
        self.assertEqual(none, unknown)
        self.assertEqual(other, about(4, "forbidden"))

    def test_put_out_is_written_down(self) -> None:
        """A connection that ends because its credential was revoked is in the audit, once, with
        whose it was; so is everybody who shows that credential again, there or elsewhere."""
        told = self.enrol("desk-1", 1)
        self.join(told)
        self.keys.credentials.remove_token(self.listed()[0]["ownToken"])
        self.tick()
        self.tick()
        query = AuditQuery(deed=Deed.LOGGED_OUT)
        (one,) = AuditFiles(self.audit_folder, Disk()).page(query).entries
        self.assertEqual((one.who, one.address), ("desk-1", "127.0.0.1"))
        self.assertEqual(one.about, {"path": "/ws/sentinel", "why": "not-authenticated"})
        self.dial("/ws/sentinel", bearer(told["token"]))
        self.ask("GET", "/api/v1/me?ticket=wrong", {})
        self.ask("GET", "/api/v1/me", {})
        said = [about for _, about in self.refusals()]
        self.assertEqual([one["via"] for one in said], ["token", "ticket"])
        self.assertEqual([one["path"] for one in said], ["/ws/sentinel", "/api/v1/me"])

    def test_stays_out(self) -> None:
        """A machine whose token is revoked is out at the next tick, is let in no more by it, and is
        not enrolled again by that of the room until it is forgotten."""
        told = self.enrol("desk-1", 1)
        other = self.join(self.enrol("desk-2", 2))
        speaker = self.join(told)
        row = self.listed()[0]
        self.keys.credentials.remove_token(row["ownToken"])
        self.tick()
        self.assertEqual((speaker.close_code, other.close_code), (4401, None))
        self.assertEqual(self.dial("/ws/sentinel", bearer(told["token"])).status, 401)
        answer = self.apply("desk-1", 1)
        self.assertEqual((answer.status, answer.error_code), (403, "forbidden"))
        self.assertIn("vidlink token forget desk-1", answer.json["error"]["message"])
        self.assertFalse(self.listed()[0]["valid"])
        self.keys.credentials.forget_enrolment("desk-1")
        self.assertIsNone(self.join(self.enrol("desk-1", 1)).close_code)
