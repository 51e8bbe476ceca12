"""Tests of ``docs/reference/http.md`` against the server itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.gates import PASSWORD
from tests.server.api.histories import DESK_PATH, GATE, MACHINE, USER, HistoryCase, Seen
from vidlink import errors
from vidlink.access.gate import LOGIN_US
from vidlink.access.oidc.settings import CALLBACK, START
from vidlink.access.tickets import LIFE_SECONDS, UNUSED_SECONDS
from vidlink.model import USUAL, Bounds
from vidlink.server.api import refusals
from vidlink.server.api.access import Access
from vidlink.server.api.history import Api
from vidlink.server.api.oidc import Oidc
from vidlink.server.api.parameters import MAX_RANGE, MAX_SEGMENTS, MAX_SESSIONS
from vidlink.server.api.probes import Probes
from vidlink.server.port.sharing import EXPOSED

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "http.md"
TEXT = PAGE.read_text("utf-8")
SECTION = re.compile(
    r"^## `(?P<method>[A-Z]+) (?P<path>[^`]+)`\n(?P<text>.*?)(?=^## |\Z)", re.M | re.S
)
#: What stands for the parts of a path in the tests.
PARTS = {
    "sentinelId": GATE.sentinel_id,
    "sessionId": GATE.session_id,
    "sequence": "0",
    "first": "6",
    "last": "14",
    "login": "0badcafe",
}
BODIES = {
    "POST /api/v1/login": json.dumps({"user": USER, "password": PASSWORD}).encode(),
    "POST /api/v1/enrolments": json.dumps(
        {"sentinelId": "desk-12", "machine": MACHINE, "software": "test/1"}
    ).encode(),
    "POST /api/v1/tickets": json.dumps({"path": f"{DESK_PATH}/index.m3u8"}).encode(),
    "PUT /api/v1/sentinels/{sentinelId}/framerate": b'{"framerate": 2.5}',
    "PUT /api/v1/sentinels/{sentinelId}/sessions/{sessionId}/hold": b'{"reason": "an appeal"}',
}


@dataclass(frozen=True)
class Section:
    """What the page says of one path."""

    method: str
    template: str
    text: str

    @property
    def is_session(self) -> bool:
        """Whether it answers with one session."""
        return self.method == "GET" and self.template.endswith("/sessions/{sessionId}")

    @property
    def path(self) -> str:
        """The path with something in place of its variables."""
        return self.template.format(**PARTS)

    @property
    def changes(self) -> bool:
        """Whether it deletes or holds a session, which is not one that others look at."""
        return self.method != "GET" and "/sessions/" in self.template

    @property
    def body(self) -> bytes | None:
        """A body that it takes."""
        return BODIES.get(f"{self.method} {self.template}")

    def table(self, head: str) -> list[list[str]]:
        """The rows of the table whose first column is `head`; empty if there is none."""
        match = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", self.text, re.M)
        rows = match[1].splitlines() if match else []
        return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]

    def examples(self) -> list[Any]:
        """The JSON examples."""
        return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", self.text, re.S)]


def sections() -> list[Section]:
    """All paths of the page."""
    return [Section(m["method"], m["path"], m["text"]) for m in SECTION.finditer(TEXT)]


def routes() -> set[tuple[str, str]]:
    """Every method and path that the server takes."""
    variables = {"sentinel": "sentinelId", "session": "sessionId"}
    taken = set()
    apps = (Api.app, Access.app, Oidc.app, Probes.app)
    for rule in (rule for app in apps for rule in app.url_map.iter_rules()):
        if rule.rule in (START, CALLBACK):
            continue  # Pages that a browser visits, one after another.
        path = re.sub("<([a-z]+)>", lambda m: "{" + variables.get(m[1], m[1]) + "}", rule.rule)
        several = path.endswith("{numbers}")
        for numbers in ("{sequence}", "{first}-{last}") if several else ("",):
            for method in rule.methods or ():
                taken.add((method, path.replace("{numbers}", numbers)))
    return taken


def fields(value: object, place: str = "") -> Iterator[str]:
    """The names of all values inside `value`, such as ``sessions[].size``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, place + "[]")
    else:
        yield place


def kinds() -> set[tuple[int, str]]:
    """Status and code of every error that an HTTP request can meet."""
    families: list[Any] = [
        refusals.HttpError,
        errors.NotFound,
        errors.SentinelOffline,
        errors.Damaged,
    ]
    families += [errors.SessionLive, errors.SessionHeld, errors.NotAuthenticated]
    families += [errors.Forbidden, errors.WrongPassword]
    families += [errors.TooManyTries, errors.TooManyTickets, errors.EnrolmentClosed]
    known = {*families, errors.StoreError, errors.VidlinkError}
    known.update(
        kind
        for kind in vars(refusals).values()
        if isinstance(kind, type) and issubclass(kind, errors.RequestError)
    )
    known.discard(errors.RequestError)
    return {(kind.http_status, kind.code) for kind in known}


class PageTests(HistoryCase):
    """The page says what the server does."""

    def setUp(self) -> None:
        """Read the page."""
        super().setUp()
        self.sections = sections()
        self.assertGreater(len(self.sections), 10)

    def get(self, section: Section, query: str = "") -> Seen:
        """The answer to a request for a path of the page."""
        data = section.body
        headers = {"Content-Type": "application/json"} if data else {}
        path = section.path
        if section.template.endswith("{login}"):
            path = path.replace(PARTS["login"], self.spare_login())
        if section.template == "/api/v1/enrolments":
            self.enrolled()
        if section.changes:
            path = path.replace(GATE.session_id, self.spare())
        elif section.template == "/api/v1/receipts":
            self.store.delete(GATE.sentinel_id, self.spare(), "somebody", rehearse=False)
        return self.ask(path + query, headers, section.method, data)

    def test_paths(self) -> None:
        """Every path that the server has is on the page, and the other way round."""
        told = {(one.method, one.template) for one in self.sections}
        self.assertEqual(told, {(method, path) for method, path in routes() if method != "HEAD"})

    def test_shared_headers(self) -> None:
        """Every header that the page names can be read by pages of other origins too."""
        safe = {"Content-Type", "Cache-Control", "Content-Length", "Last-Modified"}
        named = {row[0] for one in self.sections for row in one.table("header(?: of a range)?")}
        self.assertIn("VidLink-Missing", named)
        self.assertLessEqual(named - safe, set(EXPOSED.split(", ")))

    def test_fields(self) -> None:
        """Every field of an answer is on the page, and the other way round."""
        summary = next(one for one in self.sections if one.template == "/api/v1/sessions")
        common = [row[0].removeprefix("sessions[].") for row in summary.table("field")]
        common.remove("next")
        for section in self.sections:
            told = [row[0] for row in section.table("field")]
            seen = self.get(section)
            self.assertIn(seen.status, (200, 201, 202), section.template)
            if not told:
                types = [row[1] for row in section.table("header") if row[0] == "Content-Type"]
                self.assertEqual([seen.header("Content-Type")], types, section.template)
                continue
            if section.is_session:
                told += common
            self.assertEqual(set(fields(seen.json)), set(told), section.template)
            self.assertEqual(len(told), len(set(told)))

    def test_examples(self) -> None:
        """Every example has the fields of an answer."""
        for section in self.sections:
            for example in section.examples():
                answer = self.get(section).json
                self.assertEqual(set(fields(example)), set(fields(answer)), section.template)

    def test_playlist(self) -> None:
        """The example of a playlist is the one that the server gives."""
        (section,) = [one for one in self.sections if one.template.endswith("index.m3u8")]
        (example,) = re.findall(r"```text\n(.*?)```", section.text, re.S)
        self.assertEqual(self.get(section).body.decode("ascii"), example)

    def test_parameters(self) -> None:
        """Every parameter on the page is taken, and the server names no others."""
        for section in self.sections:
            rows = section.table("parameter")
            for name, example, *_ in rows:
                if example:
                    status = self.get(section, f"?{name}={example}").status
                    self.assertEqual(status, 200, (section.template, name))
            message = self.get(section, "?nonsense=1").json["error"]["message"]
            _, _, taken = message.partition("what is: ")
            self.assertEqual(taken, ", ".join(row[0] for row in rows), section.template)

    def test_headers(self) -> None:
        """Every header on the page is there, with the value of the example."""
        for section in self.sections:
            is_film = section.template.endswith("recording.mp4")
            examples = [row[:2] for row in section.table("parameter") if is_film and row[1]]
            query = "&".join("=".join(row) for row in examples)
            for table, asked in (
                ("header", "?last=5" if is_film else ""),
                ("header of a range", f"?{query}"),
            ):
                for name, example in section.table(table):
                    header = self.get(section, asked).header(name)
                    self.assertEqual(header, example, (section.template, table, name))

    def test_errors(self) -> None:
        """Every error is on the page with its status."""
        everywhere = Section("", "", TEXT)
        told = [(int(row[0]), row[1]) for row in everywhere.table("status")]
        self.assertEqual(set(told), kinds())
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual(told, sorted(told))
        example = re.search(r"### Errors\n\n```json\n(.*?)```", TEXT, re.S)
        assert example is not None
        answer = self.ask("/api/v1/sessions?limit=0").json
        self.assertEqual(json.loads(example[1]), answer)

    def test_caching(self) -> None:
        """What the page says of caching is what the server says."""
        rows = {row[0]: row[1] for row in Section("", "", TEXT).table("what")}
        listed = "listings, one session, `/api/v1/openapi.json"
        momentary = (
            "/api/v1/me`, `/healthz`, `/readyz`, `/metrics`, `/api/v1/retention`, letting in, "
            "control, deleting and holding, errors"
        )
        sealed = "media that cannot change any more"
        base = f"/api/v1/sentinels/{GATE.sentinel_id}/sessions/{GATE.session_id}"
        for what, path in (
            (listed, "/api/v1/sessions"),
            (listed, "/api/v1/openapi.json"),
            (listed, base),
            ("media that may still change", base + "/segments/0-9"),
            (sealed, base + "/init.mp4"),
            (sealed, base + "/recording.mp4"),
            (sealed, base + "/segments/0"),
            (momentary, "/api/v1/me"),
            (momentary, "/api/v1/logins"),
            (momentary, "/api/v1/retention"),
        ):
            self.assertEqual(self.ask(path).header("Cache-Control"), rows[what], path)

    def test_numbers(self) -> None:
        """The limits on the page are those of the code."""
        bounds = Bounds()
        for words in (
            f"more than {bounds.header_seconds:g} s",
            f"more than {bounds.body_seconds:g} s",
            f"{bounds.idle_seconds:g} s without",
            f"an answer for {bounds.stall_seconds:g} s",
            f"body is above {bounds.body_bytes // 1024} KiB",
            f"request line is above {bounds.target_bytes // 1024} KiB",
            f"1 to {MAX_SESSIONS};",
            f"1 to {MAX_SEGMENTS};",
            f"`first` + {MAX_RANGE},",
            f"within {UNUSED_SECONDS:g} s",
            f"for {LIFE_SECONDS / 3600:g} hours",
            f"for {LOGIN_US / 3_600_000_000:g} hours",
            f"{USUAL.logins_per_user} newest",
            f"{USUAL.tickets_per_credential} tickets",
        ):
            self.assertIn(words, " ".join(TEXT.split()))
