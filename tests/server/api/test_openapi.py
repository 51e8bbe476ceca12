"""Tests of `vidlink.server.api.openapi`: the document against the server, and against the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.server.api.histories import GATE, HistoryCase, Seen
from tests.server.api.test_http_reference import (
    PARTS,
    TEXT,
    Section,
    kinds,
    routes,
    sections,
)
from vidlink.server.api.answers import JSON, SECURITY_HEADERS
from vidlink.server.api.refusals import NoUpgrade

#: What the connection puts on every answer, and what a client takes away again: looked at where
#: there is a connection, in ``tests/live``.
ELSEWHERE = {"Content-Length", *(name for name, _ in SECURITY_HEADERS)}


def closed(value: Any) -> Any:
    """`value`, where every object refuses fields that it does not name."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: closed(one) for name, one in value.items()}
    return {"additionalProperties": False, **inner} if "properties" in value else inner


class DocumentCase(HistoryCase):
    """The document as it is served, and what it says."""

    def setUp(self) -> None:
        """Fetch it."""
        super().setUp()
        self.document = self.get_json("/api/v1/openapi.json")
        self.strict = closed(self.document)
        self.sections = sections()

    def found(self, value: Any) -> Any:
        """`value`, or what it refers to."""
        while "$ref" in value:
            names = value["$ref"].removeprefix("#/").split("/")
            value = self.document
            for name in names:
                value = value[name]
        return value

    def valid(self, schema: Any, value: Any) -> None:
        """Check `value`, which may have no field that `schema` does not name."""
        Draft202012Validator({**self.strict, "allOf": [closed(schema)]}).validate(value)

    def operation(self, section: Section) -> Any:
        """What the document has of a section of the page."""
        return self.document["paths"][section.template][section.method.lower()]

    def body(self, section: Section) -> Any:
        """The schema of what a section answers; None if it is no JSON."""
        answers = self.operation(section)["responses"]
        answer = next(answers[status] for status in ("200", "201", "202") if status in answers)
        return answer["content"].get(JSON, {}).get("schema")

    def taken(self, section: Section, where: str) -> dict[str, Any]:
        """The parameters of a section that are in path, query or header, by name."""
        given = [self.found(one) for one in self.operation(section)["parameters"]]
        return {one["name"]: one["schema"] for one in given if one["in"] == where}

    def fields(self, schema: Any, place: str = "") -> Iterator[tuple[str, bool]]:
        """The names of all values that `schema` describes, and which may be null."""
        schema = self.found(schema)
        options = [self.found(one) for one in schema.get("anyOf", ())]
        if "properties" in schema:
            for name, inner in schema["properties"].items():
                yield from self.fields(inner, f"{place}.{name}" if place else name)
        elif "items" in schema:
            yield from self.fields(schema["items"], place + "[]")
        else:
            yield place, {"type": "null"} in options


class WholeTests(DocumentCase):
    """The document itself."""

    def test_valid(self) -> None:
        """It is OpenAPI 3.1, and its schemas are JSON Schemas of draft 2020-12."""
        self.assertEqual(list(OpenAPIV31SpecValidator(self.document).iter_errors()), [])
        for schema in self.document["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_every_path(self) -> None:
        """It has every path with every method that the server takes, and no other."""
        paths = self.document["paths"]
        told = {(method.upper(), path) for path, item in paths.items() for method in item}
        self.assertEqual(told, routes())

    def test_names(self) -> None:
        """Every operation has a name of its own, and nothing is defined that nobody uses."""
        operations = [one for item in self.document["paths"].values() for one in item.values()]
        names = {operation["operationId"] for operation in operations}
        self.assertEqual(len(names), len(operations))
        text = self.ask("/api/v1/openapi.json").body.decode()
        for kind, named in self.document["components"].items():
            for name in named:
                # Whoever is refused a method has met an operation that is not there.
                used = name in ("Error405", "Allow") or f'"#/components/{kind}/{name}"' in text
                used = used or (kind == "securitySchemes" and f'{{"{name}":[]}}' in text)
                self.assertTrue(used, (kind, name))

    def test_who_is_asked(self) -> None:
        """Every operation asks who it is, but for the probes and for being let in; and only what
        plays media takes a ticket."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                shown = operation.get("security", self.document["security"])
                is_media = path.endswith((".mp4", ".m3u8", "/{sequence}", "/{first}-{last}"))
                is_way_in = (method, path) == ("post", "/api/v1/login") or path == "/api/v1/oidc"
                if not path.startswith("/api/") or is_way_in:
                    self.assertEqual(shown, [], path)
                else:
                    expected = ["bearer", "cookie", *["ticket"] * is_media]
                    self.assertEqual(shown, [{name: []} for name in expected], path)
                    self.assertLessEqual({"401", "403"}, operation["responses"].keys(), path)

    def test_known_already(self) -> None:
        """A client that has it is not sent it again."""
        etag = self.ask("/api/v1/openapi.json").header("ETag")
        assert etag is not None
        seen = self.ask("/api/v1/openapi.json", {"If-None-Match": etag})
        self.assertEqual((seen.status, seen.body), (304, b""))


class PageTests(DocumentCase):
    """The document says what ``docs/reference/http.md`` says."""

    def test_parameters(self) -> None:
        """Each path takes the parameters of the page, and the page's examples of them."""
        for section in self.sections:
            rows = section.table("parameter")
            taken = self.taken(section, "query")
            self.assertEqual(list(taken), [name for name, *_ in rows], section.template)
            for name, example, *_ in rows:
                if example:
                    value: Any = int(example) if example.isdecimal() else example
                    value = example == "true" if taken[name].get("type") == "boolean" else value
                    self.valid(taken[name], value)

    def test_fields(self) -> None:
        """Each answer has the fields of the page, and null where the page says so."""
        summary = next(one for one in self.sections if one.template == "/api/v1/sessions")
        common = [
            (name.removeprefix("sessions[]."), "or null" in kind)
            for name, kind, *_ in summary.table("field")
            if name != "next"
        ]
        for section in self.sections:
            told = [(name, "or null" in kind) for name, kind, *_ in section.table("field")]
            if section.is_session:
                told += common
            if told:
                said = list(self.fields(self.body(section)))
                self.assertEqual(sorted(said), sorted(told), section.template)

    def test_examples(self) -> None:
        """Each example of an answer is one."""
        for section in self.sections:
            for example in section.examples():
                self.valid(self.body(section), example)

    def test_headers(self) -> None:
        """Each answer has the headers of the page."""
        for section in self.sections:
            answer = self.operation(section)["responses"].get("200")
            for name, _ in section.table("header") + section.table("header of a range"):
                told = {*answer["headers"], "Content-Type"}
                self.assertIn(name, told, section.template)

    def test_errors(self) -> None:
        """Each error has the status and the code of the page, but for that of the WebSockets, which
        are not in the document."""
        of_sockets = {(NoUpgrade.http_status, NoUpgrade.code)}
        told = {(int(row[0]), row[1]) for row in Section("", "", TEXT).table("status")}
        said: set[tuple[int, str]] = set()
        for name, answer in self.document["components"]["responses"].items():
            schema = answer["content"][JSON]["schema"]["properties"]["error"]
            codes = schema["properties"]["code"]["enum"]
            said.update((int(name.removeprefix("Error")), code) for code in codes)
        self.assertEqual(said, told - of_sockets)
        self.assertEqual(said, kinds() - of_sockets)


class AnswerTests(DocumentCase):
    """The server answers as the document says."""

    def seen(
        self, section: Section, method: str, path: str, headers: dict[str, str] | None = None
    ) -> Seen:
        """The answer to a request, checked."""
        data = section.body if method == section.method else None
        if section.changes:
            path = path.replace(GATE.session_id, self.spare())
        if section.template.endswith("{login}"):
            path = path.replace(PARTS["login"], self.spare_login())
        if section.template == "/api/v1/enrolments":
            self.enrolled()
        seen = self.ask(path, {"Content-Type": JSON} if data else headers, method, data)
        operation = self.document["paths"][section.template][method.lower()]
        answer = self.found(operation["responses"][str(seen.status)])
        for name, header in answer["headers"].items():
            self.check_header(name, self.found(header), seen.header(name))
        content = answer.get("content", {})
        self.assertEqual(seen.header("Content-Type"), next(iter(content), None))
        if JSON in content and method != "HEAD":
            self.valid(content[JSON]["schema"], seen.json)
        return seen

    def check_header(self, name: str, header: Any, value: str | None) -> None:
        """Check a header of an answer."""
        if value is not None:
            is_number = self.found(header["schema"]).get("type") == "integer"
            self.valid(header["schema"], int(value) if is_number else value)
        elif name not in ELSEWHERE:
            self.assertFalse(header.get("required", False), name)

    def test_each_operation(self) -> None:
        """Each path answers well, with and without a body, and refuses what it does not know."""
        for section in self.sections:
            has_head = "head" in self.document["paths"][section.template]
            for method in (section.method, "HEAD") if has_head else (section.method,):
                seen = self.seen(section, method, section.path)
                self.assertIn(seen.status, (200, 201, 202))
                seen = self.seen(section, method, section.path + "?nonsense=1")
                self.assertEqual(seen.status, 400)

    def test_each_parameter(self) -> None:
        """Each example of a parameter is taken, and answered as said."""
        for section in self.sections:
            for name, example, *_ in section.table("parameter"):
                if example:
                    path = f"{section.path}?{name}={example}"
                    self.assertEqual(self.seen(section, section.method, path).status, 200, path)

    def test_each_condition(self) -> None:
        """Each path that takes conditions and ranges answers them as it says."""
        count = 0
        for section in self.sections:
            for name, value, status in (
                ("If-None-Match", "*", 304),
                ("If-Match", '"other"', 412),
                ("Range", "bytes=1-2", 206),
                ("Range", "bytes=99999999-", 416),
            ):
                if name in self.taken(section, "header"):
                    path = self.stays(section.path)
                    seen = self.seen(section, section.method, path, {name: value})
                    self.assertEqual(seen.status, status, (section.template, name))
                    count += 1
        self.assertGreater(count, 20)

    def test_not_there(self) -> None:
        """Each path of one Sentinel or session says what is not found."""
        for section in self.sections:
            if "{" in section.template:
                path = section.path.replace("gate.2", "nobody").replace(PARTS["login"], "nobody")
                self.assertEqual(self.seen(section, section.method, path).status, 404)
