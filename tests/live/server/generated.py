"""What a generator of requests has to know besides the OpenAPI document; loaded by Schemathesis.

No schema says that one parameter must not be after another, or that a page's end has to be one
that was given out. So such values are put in their place here, in requests that are meant to be
right; those that are meant to be wrong stay as they are. ``VIDLINK_GENERATED`` in the environment
is JSON: values by parameter, and in ``log`` the file that gets a line for each answer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

KNOWN: dict[str, Any] = json.loads(os.environ["VIDLINK_GENERATED"])


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Put in what exists, and what is in order."""
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        _exist(case.path_parameters)
        if case.path.endswith("/hold"):
            # What is held is not deleted, which others try.
            case.path_parameters["sessionId"] = KNOWN["held"]
    if "Range" in case.headers and not case.meta.is_negative_at(ParameterLocation.HEADER):
        # Any other text is answered with the whole.
        case.headers["Range"] = "bytes=0-"
    if case.path.endswith("/tickets") and not case.meta.is_negative_at(ParameterLocation.BODY):
        case.body = {"path": "/ws/proctor"}
    if not case.meta.is_negative_at(ParameterLocation.QUERY):
        _in_order(case.path, case.query)
        if case.method.upper() == "DELETE" and case.path.endswith("/{sessionId}"):
            # Others look at this session.
            case.query["dry-run"] = "true"
    return case


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Note which operation was answered how."""
    with Path(KNOWN["log"]).open("a") as log:
        asked = f"{response.request.method} {case.operation.path}"
        log.write(json.dumps([asked, response.status_code]) + "\n")


def _exist(path: dict[str, Any]) -> None:
    path.update({name: KNOWN[name] for name in ("sentinelId", "sessionId") if name in path})
    if "last" in path:
        first, last = sorted(int(path[name]) for name in ("first", "last"))
        path["first"], path["last"] = first, min(last, first + KNOWN["range"] - 1)


def _in_order(path: str, query: dict[str, Any]) -> None:
    if "after" in query and path.endswith("/sessions"):
        query["after"] = KNOWN["after"]
    for begin, end in (("from", "to"), ("start", "end")):
        if isinstance(query.get(begin), int) and isinstance(query.get(end), int):
            query[begin], query[end] = sorted((query[begin], query[end]))
        elif begin in query and end in query:
            del query[end]
