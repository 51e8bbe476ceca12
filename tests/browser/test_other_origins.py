"""A portal's page in Chromium uses the server that lets it in; a stranger's page cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser

from tests.rigs.daemons import Site, free_port, until

USE = """async ([url, path]) => {
  const seen = {};
  const list = await fetch(`${url}/api/v1/sentinels`);
  seen.sentinel = (await list.json()).sentinels[0].sentinelId;
  const film = `${url}${path}/recording.mp4`;
  const part = await fetch(film, { headers: { Range: "bytes=0-99" } });
  seen.part = [part.status, (await part.arrayBuffer()).byteLength];
  seen.range = part.headers.get("Content-Range").split("/")[0];
  const etag = part.headers.get("ETag");
  const again = await fetch(film, { headers: { Range: "bytes=100-199", "If-Range": etag } });
  seen.again = [again.status, (await again.arrayBuffer()).byteLength];
  const rate = await fetch(`${url}/api/v1/sentinels/desk-1/framerate`, {
    method: "PUT", headers: { "Content-Type": "application/json" }, body: '{"framerate": 2}',
  });
  seen.rate = (await rate.json()).framerate;
  const refused = await fetch(`${url}${path}?dry-run=true`, { method: "DELETE" });
  seen.refused = [refused.status, (await refused.json()).error.code];
  const missing = await fetch(`${url}/api/v1/nothing`);
  seen.missing = [missing.status, (await missing.json()).error.code];
  seen.socket = await new Promise((done) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws/proctor`, "vidlink.v1.json");
    socket.onopen = () => done("open");
    socket.onerror = () => done("error");
  });
  return seen;
}"""

PLAY = """async ([url, path]) => {
  const video = document.createElement("video");
  video.crossOrigin = "anonymous";
  video.muted = true;
  const shown = new Promise((done, fail) => {
    video.onloadeddata = done;
    video.onerror = () => fail(video.error.message);
  });
  video.src = `${url}${path}/recording.mp4`;
  await shown;
  const canvas = new OffscreenCanvas(8, 8);
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 8, 8);
  const pixels = pen.getImageData(0, 0, 8, 8).data.length;
  const playlist = await (await fetch(`${url}${path}/index.m3u8`)).text();
  const media_lines = playlist.split("\\n").filter((line) => line.startsWith("segments/"));
  const pieces = ["init.mp4", ...media_lines];
  const media = new MediaSource();
  const other = document.createElement("video");
  other.src = URL.createObjectURL(media);
  await new Promise((done) => { media.onsourceopen = done; });
  const session = await (await fetch(`${url}${path}`)).json();
  const buffer = media.addSourceBuffer(session.mime);
  for (const piece of pieces) {
    buffer.appendBuffer(await (await fetch(`${url}${path}/${piece}`)).arrayBuffer());
    await new Promise((done) => { buffer.onupdateend = done; });
  }
  return [video.videoWidth, pixels, pieces.length > 1, other.buffered.end(0) > 0.5];
}"""

TRY = """async (url) => {
  const seen = [];
  for (const [path, how] of [
    ["/api/v1/sentinels", {}], ["/healthz", {}],
    ["/api/v1/sentinels/desk-1/keyframe", { method: "POST" }],
  ]) {
    seen.push(await fetch(url + path, how).then((answer) => answer.status, (error) => error.name));
  }
  return seen;
}"""


class Blank(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        """Answer with it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>portal</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def pages() -> Iterator[str]:
    """The origin of somebody's empty pages."""
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def in_page(browser: Browser, origin: str, script: str, argument: object) -> Any:
    """What `script` gives in a page of `origin`."""

    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(origin)
        return page.evaluate(script, argument)
    finally:
        context.close()


def test_portal(site: Site, browser: Browser) -> None:
    """A page of an origin that is let in reads, plays and controls; others can do nothing."""
    with pages() as portal, pages() as stranger:
        site.start_server("--allow-origin", portal)
        sentinel = site.start_sentinel("desk-1", "--fps", "5")
        session = site.live_session("desk-1")
        site.recorded("desk-1", session, 8)
        path = f"/api/v1/sentinels/desk-1/sessions/{session}"
        seen = in_page(browser, portal, USE, [site.url, path])
        assert seen == {
            "sentinel": "desk-1",
            "part": [206, 100],
            "range": "bytes 0-99",
            # The film of a live session may have grown meanwhile, and is sent whole then.
            "again": seen["again"],
            "rate": 2,
            "refused": [403, "forbidden"],
            "missing": [404, "not-found"],
            "socket": "open",
        }
        assert seen["again"] == [206, 100] or seen["again"][0] == 200
        assert in_page(browser, stranger, TRY, site.url) == ["TypeError"] * 3
        sentinel.stop()
        until(lambda: site.get_json(path)["state"] == "ended", what="the session has ended")
        until(lambda: b"ENDLIST" in site.get(path + "/index.m3u8")[2], what="the list is whole")
        assert in_page(browser, portal, PLAY, [site.url, path]) == [320, 256, True, True]
