"""The HTTP interface described for programs: the OpenAPI 3.1 document at ``/api/v1/openapi.json``.

It is data, put together from the same patterns, limits, words and errors that the server works
with. To add a path: its route in :mod:`vidlink.server.api.history` or
:mod:`vidlink.server.api.access`, its section in
``docs/reference/http.md``, and an entry in :mod:`vidlink.server.api.openapi.paths`; the tests hold
the three together.
"""

from __future__ import annotations

from vidlink import __version__
from vidlink.httpjson.kinds import Json
from vidlink.server.api.openapi.answers import HEADERS, RESPONSES
from vidlink.server.api.openapi.operations import SHOWN
from vidlink.server.api.openapi.paths import PARAMETERS, SECURITY, paths
from vidlink.server.api.openapi.schemas import SCHEMAS

_DESCRIPTION = """\
What was recorded, what is there now, and control for scripts. Live pictures go over WebSocket.

Parameters are read strictly: one that is not known, is given twice, or is not what is wanted, is
refused with 400. A method that a path does not name is refused with 405 and `Allow`. Every error
is JSON with a code for programs and a message for people.
"""


def document() -> Json:
    """The whole document, made anew."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VidLink",
            "version": __version__,
            "summary": "Live screens, relayed and recorded",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SHOWN],
        "tags": [
            {"name": "server", "description": "The server itself."},
            {"name": "access", "description": "Who is let in."},
            {"name": "sentinels", "description": "Who is there."},
            {"name": "recordings", "description": "Looking back."},
            {"name": "control", "description": "Telling a Sentinel something."},
        ],
        "paths": paths(),
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": RESPONSES,
            "securitySchemes": SECURITY,
        },
    }
