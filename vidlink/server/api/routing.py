"""How an error inside a table of paths is answered, that of the table itself included."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from werkzeug import exceptions

from vidlink.server.api.answers import answer_error
from vidlink.server.api.refusals import MethodNotAllowed, NoSuchPath


def refused(request: Any, failure: Failure) -> bytes:
    """The answer that reports `failure`."""
    error = failure.value
    assert error is not None, "a failure has a cause"
    if isinstance(error, exceptions.MethodNotAllowed):
        method = request.method.decode("ascii")
        error = MethodNotAllowed(method[:20], error.valid_methods or ())
    elif isinstance(error, exceptions.HTTPException):
        error = NoSuchPath("there is nothing at this path")
    return answer_error(request, error)
