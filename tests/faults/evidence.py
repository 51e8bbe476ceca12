"""Whether a recording holds what was promised: every segment, list and film of it is looked at.

All of it is asked for over HTTP, as anybody would. What has to be so after every fault:

- what was acknowledged is listed, and is served as it was sent;
- what is listed is served as it was sent: nothing is torn or mixed up;
- the film of each session decodes without a complaint, every picture of it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import av
import av.logging

from tests.faults.load import Key
from tests.rigs.daemons import START_SECONDS, Site


@dataclass
class Evidence:
    """What was found: `lost` was acknowledged and is not there, `unsound` is there and wrong.

    `gaps` are those of each session, as they are listed.
    """

    acknowledged: int = 0
    recorded: int = 0
    lost: list[str] = field(default_factory=list)
    unsound: list[str] = field(default_factory=list)
    gaps: dict[Key, list[dict[str, Any]]] = field(default_factory=dict)

    def check(self) -> None:
        """Nothing is lost, and nothing unsound."""
        assert not self.lost, f"{len(self.lost)} of {self.acknowledged}: {self.lost[:10]}"
        assert not self.unsound, f"{len(self.unsound)}: {self.unsound[:10]}"
        assert self.recorded, "nothing was recorded at all"

    def causes(self) -> set[str]:
        """The causes of all gaps."""
        return {gap["cause"] for gaps in self.gaps.values() for gap in gaps}


def look(
    site: Site, promised: Mapping[Key, int], sent: Mapping[Key, Mapping[int, bytes]]
) -> Evidence:
    """Look at everything that the server has.

    :param promised: how far each session was acknowledged.
    :param sent: what was sent of each session.
    """
    found = Evidence(acknowledged=sum(reached + 1 for reached in promised.values()))
    with closing(_Reader(site.port)) as reader:
        listed = set(reader.sessions())
        for key in sorted(listed | {key for key, reached in promised.items() if reached >= 0}):
            if key in listed:
                _look_at(reader, key, promised.get(key, -1), sent.get(key, {}), found)
            else:
                found.lost += [f"{key} {sequence}" for sequence in range(promised[key] + 1)]
    return found


def _look_at(
    reader: _Reader, key: Key, reached: int, sent: Mapping[int, bytes], found: Evidence
) -> None:
    segments, gaps = reader.segments(key)
    found.gaps[key] = gaps
    known = {segment["sequence"] for segment in segments}
    found.lost += [f"{key} {sequence}" for sequence in range(reached + 1) if sequence not in known]
    for sequence in sorted(known):
        found.recorded += 1
        status, body = reader.get(f"{_path(key)}/segments/{sequence}")
        if (status, body) != (200, sent.get(sequence)):
            where = found.lost if sequence <= reached else found.unsound
            where.append(f"{key} {sequence}: {status}, {len(body)} octets")
    if segments:
        found.unsound += _watch(reader, key, segments)


def _watch(reader: _Reader, key: Key, segments: Iterable[dict[str, Any]]) -> list[str]:
    """Decode the film of a session; what is wrong with it."""
    status, film = reader.get(f"{_path(key)}/recording.mp4")
    wanted = sum(not segment["undecodable"] for segment in segments)
    if status == 404 and not wanted:
        return []
    try:
        count, complaints = pictures(film)
    except av.FFmpegError as error:
        count, complaints = 0, [str(error)]
    if (status, count) != (200, wanted):
        complaints.append(f"{status}, {count} pictures of {wanted}")
    return [f"film of {key}: {complaint}" for complaint in complaints]


def pictures(film: bytes) -> tuple[int, list[str]]:
    """How many pictures a film has, and what the decoder complains of."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(BytesIO(film), "r") as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            count = sum(1 for _ in container.decode(stream))
    finally:
        av.logging.set_level(None)
    return count, [f"{name}: {text.strip()}" for _, name, text in said]


def _path(key: Key) -> str:
    return "/api/v1/sentinels/{}/sessions/{}".format(*key)


class _Reader:
    """One HTTP connection, used again and again."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body, wherever it is sent on to; a body that breaks off is an empty one."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        try:
            body = answer.read()
            where = answer.getheader("Location")
            return (answer.status, body) if where is None else self.get(urljoin(path, where))
        except http.client.IncompleteRead:
            self._connection.close()
            return answer.status, b""

    def _json(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def sessions(self) -> Iterable[Key]:
        """Every session there is."""
        after = ""
        while True:
            page = self._json(f"/api/v1/sessions?limit=200{after}")
            yield from ((one["sentinelId"], one["sessionId"]) for one in page["sessions"])
            if page["next"] is None:
                return
            after = f"&after={page['next']}"

    def segments(self, key: Key) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Every segment that is listed, and the gaps."""
        segments: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self._json(f"{_path(key)}/segments?limit=1000{after}")
            segments += page["segments"]
            if page["next"] is None:
                return segments, self._json(_path(key))["gaps"]
            after = f"&after={page['next']}"
