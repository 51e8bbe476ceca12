"""Chromium as a stock player, without a line of the page: `recording.mp4`, ranges, playlists."""

from __future__ import annotations

from typing import Any

from tests.browser.onlooker import READ_BARCODE, Onlooker
from tests.rigs.daemons import Site, until
from tests.rigs.recordings import EPOCH_US, write_recording

#: A video element of its own, muted so that it may begin by itself, and what has become of it.
PLAY = """
(url) => {
  const video = document.createElement("video");
  video.id = "player";
  video.muted = true;
  video.seen = [];
  video.addEventListener("ended", () => { video.isOver = true; });
  const look = (now, frame) => {
    video.seen.push(frame.mediaTime);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  video.src = url;
  document.body.replaceChildren(video);
  return video.play().then(() => "", String);
}
"""
VIDEO = "document.getElementById('player')"
STATE = f"""
() => {{
  const video = {VIDEO};
  return {{
    error: video.error?.message ?? "", duration: video.duration, time: video.currentTime,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, isOver: video.isOver === true,
  }};
}}
"""


def base(session: str) -> str:
    """Where a session is."""
    return f"/api/v1/sentinels/desk-1/sessions/{session}"


class Player:
    """A video element at the origin of the server."""

    def __init__(self, onlooker: Onlooker, path: str) -> None:
        self.onlooker = onlooker
        onlooker.open()
        failure = onlooker.page.evaluate(PLAY, onlooker.url + path)
        assert not failure, failure

    @property
    def state(self) -> Any:
        """What has become of it."""
        return self.onlooker.page.evaluate(STATE)

    def until_over(self) -> Any:
        """Wait until it has played all; its state then."""
        self.onlooker.until(f"() => {VIDEO}.isOver || {VIDEO}.error")
        return self.state

    def seek(self, seconds: float) -> Any:
        """Go there, and wait for the picture; the bar code in it."""
        self.onlooker.page.evaluate(
            f"(to) => {{ {VIDEO}.pause(); {VIDEO}.currentTime = to; }}", seconds
        )
        self.onlooker.until(f"() => !{VIDEO}.seeking && {VIDEO}.readyState >= 2")
        return self.onlooker.until(f"() => ({READ_BARCODE})({VIDEO})")


def recorded(site: Site) -> str:
    """A real session that has ended, of at least eight seconds; its id."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--keyframe-interval", "2")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 41)
    sentinel.stop()
    until(lambda: site.get_json(base(session))["state"] != "live", what="it has ended")
    return session


def test_recording_plays_directly(onlooker: Onlooker, site: Site) -> None:
    """`recording.mp4` as the source of a video plays, has the session's length, and seeks."""
    session = recorded(site)
    segments = site.recorded("desk-1", session, 41)
    player = Player(onlooker, f"{base(session)}/recording.mp4")
    onlooker.until(f"() => {VIDEO}.currentTime > 0.5")
    begin, last = segments[0]["startTime"], segments[-1]
    length = (last["startTime"] + last["duration"] * 1_000 - begin) / 1e6
    assert abs(player.state["duration"] - length) < 0.1
    for middle in (segments[20], segments[33], segments[6]):
        code = player.seek((middle["startTime"] - begin) / 1e6 + 0.1)
        assert abs(code["number"] - middle["sequence"]) <= 1


def test_time_range_plays_directly(onlooker: Onlooker, site: Site) -> None:
    """A time range plays from 0, is as long as it should be, and seeks."""
    session = recorded(site)
    segments = site.recorded("desk-1", session, 41)
    start, end = segments[17], segments[34]
    path = f"{base(session)}/recording.mp4?start={start['startTime']}&end={end['startTime']}"
    begin = int(site.get(path)[1]["VidLink-Start"])
    assert begin == start["startTime"]
    player = Player(onlooker, path)
    onlooker.until(f"() => {VIDEO}.currentTime > 0.5")
    length = (end["startTime"] - begin) / 1e6
    assert abs(player.state["duration"] - length) < 0.3
    assert onlooker.page.evaluate(f"() => {VIDEO}.seen[0]") < 0.5
    code = player.seek((segments[26]["startTime"] - begin) / 1e6 + 0.1)
    assert abs(code["number"] - 26) <= 1


def test_range_over_a_gap(onlooker: Onlooker, site: Site) -> None:
    """A time range with something missing inside plays to its end."""
    session = write_recording(site.data, [*range(25), *range(27, 45)])
    site.start_server()
    start, end = EPOCH_US + 12 * 200_000, EPOCH_US + 42 * 200_000
    player = Player(onlooker, f"{base(session)}/recording.mp4?start={start}&end={end}")
    state = player.until_over()
    assert (state["error"], round(state["duration"], 2)) == ("", (42 - 12) / 5)
    assert state["frames"] >= 25


def test_playlist_plays(onlooker: Onlooker, site: Site) -> None:
    """The list of an ended session, gaps and all, plays to its end, without the gaps."""
    session = write_recording(site.data, [*range(25), *range(27, 45), *range(60, 75)])
    site.start_server()
    player = Player(onlooker, f"{base(session)}/index.m3u8")
    state = player.until_over()
    assert state["error"] == ""
    # 25, then 30 to 44 (27 to 29 need what is missing), then 60 to 74.
    assert state["frames"] == 25 + 15 + 15
    assert abs(state["duration"] - (25 + 15 + 15) / 5) < 0.3


def test_playlist_of_a_running_session_plays(onlooker: Onlooker, site: Site) -> None:
    """The list of a running session plays on past what was listed when it was opened."""
    site.start_server()
    site.start_sentinel("desk-1", "--keyframe-interval", "1")
    session = site.live_session("desk-1")
    path = f"{base(session)}/index.m3u8"
    until(lambda: site.get(path)[2].count(b"#EXTINF") >= 4, what="four intervals")
    listed = site.get(path)[2].count(b"#EXTINF")
    player = Player(onlooker, path)
    onlooker.until(f"(end) => {VIDEO}.currentTime > end", listed + 2, 60)
    assert player.state["error"] == ""
