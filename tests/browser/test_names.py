"""Names that are meant to do harm, or just happen to: wherever they are shown they stay names.

A sentinel says its name and its group itself, so that whoever has one can write what they like.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websocket

from tests.browser.onlooker import PATIENCE_SECONDS, Onlooker
from tests.fakes import media
from tests.field.test_refusals import check_log
from tests.rigs.daemons import Site
from vidlink.messages import SentinelRegister
from vidlink.model import InitSegment, Segment
from vidlink.plugins import find_codecs

FORMAT = "vidlink.v1.binary"
CODEC = next(codec for codec in find_codecs() if codec.name == FORMAT)
#: As long as a name may be.
MOST = 128
TAKEN = {
    "script": "<script>document.title='owned'</script>",
    "markup": '"><img src=x onerror="document.title=\'owned\'">',
    "url": "javascript:document.title='owned'//",
    "format": "{log_level} %s %(name)s ${x} `id` $(id)",
    "header": 'x.mp4"; filename="/etc/passwd',
    "right-to-left": "\u05e9\u05d5\u05dc\u05d7\u05df 12",
    "marks": "Z" + "\u0335\u0321" * 60,
    "one-word": "W" * MOST,
    "wide": "\U0001f600" * MOST,
}
REFUSED = {
    "ansi": "\x1b[2J\x1b]0;owned\x07\x1b[31mdesk",
    "c1": "\x9b31mdesk",
    "lines": "desk\r\n2026-01-01T00:00:00+0000 [-] root logged in",
    "separator": "desk\u2028owned",
    "override": "\u202egpm.exe",
    "isolate": "\u2066desk",
    "nul": "desk\x00",
    "surrogate": "desk\ud800",
    "longer": "W" * (MOST + 1),
    "ten-kilobytes": "W" * 10_000,
}


def connect(site: Site, sentinel_id: str, session_id: str, name: str) -> Any:
    """A sentinel's socket on which it has said that name, as its own and as its group's."""
    said = SentinelRegister(sentinel_id, "scripted", "test/1", session_id)
    words = {**json.loads(CODEC.encode(said)[0]), "name": name, "group": name}
    address = f"{site.ws}/ws/sentinel"
    found = websocket.create_connection(
        address, subprotocols=[FORMAT], timeout=PATIENCE_SECONDS, suppress_origin=True
    )
    found.send(json.dumps(words))
    return found


@contextmanager
def sending(site: Site) -> Iterator[None]:
    """For each name that is taken a sentinel that has sent two pictures, and is still there."""
    sockets = []
    for sentinel_id, name in TAKEN.items():
        session_id = secrets.token_urlsafe(18)
        sockets.append(connect(site, sentinel_id, session_id, name))
        registered = json.loads(sockets[-1].recv())
        assert registered["type"] == "registered", registered
        messages: list[Any] = [InitSegment(sentinel_id, session_id, media.init_segment())]
        messages += [
            Segment(
                sentinel_id=sentinel_id,
                session_id=session_id,
                sequence=number,
                start_time_us=1_700_000_000_000_000 + number * media.FRAME_MS * 1_000,
                duration_ms=media.FRAME_MS,
                framerate_mhz=5_000,
                is_keyframe=media.is_keyframe(number),
                data=media.segment(number),
            )
            for number in range(2)
        ]
        for message in messages:
            sockets[-1].send_binary(CODEC.encode(message)[0])
    yield
    for one in sockets:
        one.close()


def test_names_stay_names(onlooker: Onlooker, site: Site) -> None:
    """In the list, beside the picture, over the recordings, in JSON, as the name of a file that is
    saved and in the log: as text, whole where somebody asks for it, and never out of its place.
    What cannot be shown, or is too long, is refused in band; the log has its beginning, escaped."""
    server = site.start_server()
    for sentinel_id, name in REFUSED.items():
        refused = connect(site, sentinel_id, secrets.token_urlsafe(18), name)
        error = json.loads(refused.recv())
        assert (error["type"], error["code"]) == ("error", "bad-message"), (sentinel_id, error)
        opcode, payload = refused.recv_data()
        assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, (4400).to_bytes(2, "big"))
        refused.close()
    with sending(site):
        sessions = {one: site.live_session(one) for one in TAKEN}
        rows = {row["sentinelId"]: row for row in site.get_json("/api/v1/sentinels")["sentinels"]}
        assert rows.keys() == TAKEN.keys()
        onlooker.open()
        onlooker.until(
            "(n) => document.querySelectorAll('tr[data-sentinel]').length === n", len(TAKEN)
        )
        for sentinel_id, name in TAKEN.items():
            assert (rows[sentinel_id]["name"], rows[sentinel_id]["group"]) == (name, name)
            site.recorded(sentinel_id, sessions[sentinel_id], 2)
            path = f"/api/v1/sentinels/{sentinel_id}/sessions/{sessions[sentinel_id]}"
            _, headers, _ = site.get(f"{path}/recording.mp4")
            saved = f'attachment; filename="{sentinel_id}-20231114T221320Z.mp4"'
            assert headers["Content-Disposition"] == saved
            for place, shown in PLACES.items():
                onlooker.go(place.replace("ID", sentinel_id))
                for seen in shown.split(", "):
                    where = seen.replace("ID", sentinel_id)
                    onlooker.until(SHOWN, [where, name])
            assert name in onlooker.page.title().replace("\u2068", "").replace("\u2069", "")
        assert onlooker.page.query_selector_all("img, script:not([src])") == []
    log = server.log()
    check_log(log)
    assert all(len(line) < 500 for line in log.splitlines())
    assert "W" * MOST not in log
    assert [one for one in log if not one.isprintable()] == ["\n"] * log.count("\n")


#: Where names are, by the address at which they are.
PLACES = {
    "#/": "tr[data-sentinel='ID'] a, tr[data-sentinel='ID'] .group span",
    "#/watch/ID": "figure.screen h1, figure.screen .group",
    "#/recordings/ID": ".recordings h1",
}
#: It is the name, the whole of it is in the title, and it takes no more room than it is given: two
#: lines, within whatever it is in. What is beside it is where it was.
SHOWN = """
([where, name]) => {
  const node = document.querySelector(where);
  if (node === null || node.textContent !== name || node.title !== name) return false;
  const { left, right, height } = node.getBoundingClientRect();
  const outer = node.parentElement.getBoundingClientRect();
  const style = getComputedStyle(node);
  return height < 60 && left >= outer.left && right <= outer.right + 1
    && style.overflow === "hidden" && style.display !== "inline"
    && document.documentElement.scrollWidth <= innerWidth && document.title !== "owned";
}
"""
