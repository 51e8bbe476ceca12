"""The fast path of requests: media, which players ask for by hundreds of ranges and segments.

The same methods answer as by the table of paths; but that is not searched, and nothing is put
between. What is not plainly a GET of media goes by the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request

from vidlink.server.api.answers import answer_failure
from vidlink.server.api.history import Api

_ID = b"([A-Za-z0-9._-]{1,64})"
_MEDIA = re.compile(
    rb"/api/v1/sentinels/%b/sessions/%b/"
    rb"(?:(recording\.mp4|init\.mp4|index\.m3u8)|segments/([0-9]{1,19}(?:-[0-9]{1,19})?(?:\.mp4)?))"
    % (_ID, _ID)
)


def fast_path(api: Api) -> Callable[[Request], bool]:
    """Answers requests for media by `api`; the answerer gives False for anything else."""
    by_name = {
        b"recording.mp4": api.recording,
        b"init.mp4": api.init,
        b"index.m3u8": api.playlist,
    }

    def answer(request: Request) -> bool:
        found = _MEDIA.fullmatch(request.path) if request.method == b"GET" else None
        if found is None:
            return False
        sentinel, session = found[1].decode("ascii"), found[2].decode("ascii")
        if found[3] is None:
            answering = api.media(request, sentinel, session, found[4].decode("ascii"))
        else:
            answering = by_name[found[3]](request, sentinel, session)
        answered = Deferred.fromCoroutine(answering)
        if not answered.called:
            request.notifyFinish().addErrback(lambda _: answered.cancel())
        answered.addErrback(_refuse, request).addCallback(_finish, request)
        answered.addErrback(request.processingFailed)
        return True

    return answer


def _refuse(failure: Failure, request: Any) -> bytes | None:
    if request.channel is None and failure.check(CancelledError):
        return None
    return answer_failure(request, failure)


def _finish(data: bytes | None, request: Any) -> None:
    # The connection may be lost meanwhile.
    if data is not None and request.channel is not None:
        request.write(data)
        request.finish()
