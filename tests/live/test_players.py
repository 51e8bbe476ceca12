"""Stock players against real daemons: FFmpeg plays the playlist, and time ranges."""

from __future__ import annotations

import io
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import av

from tests.rigs.daemons import Site, until
from tests.rigs.needs import need
from tests.rigs.recordings import EPOCH_US, write_recording
from tests.rigs.sentinel import LiveSentinel

#: Five times what FFmpeg takes to notice that a list has grown or ended: it looks again after a
#: target duration of 12 s at the latest.
PATIENCE_SECONDS = 60.0


def _base(session_id: str) -> str:
    return f"/api/v1/sentinels/desk-1/sessions/{session_id}"


def _probed(url: str) -> list[float]:
    """The times in seconds of all frames that ffprobe decodes; it must complain of nothing."""
    command = [need("ffprobe"), "-v", "warning", "-show_entries", "frame=pts_time"]
    command += ["-of", "json", url]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return [float(frame["pts_time"]) for frame in json.loads(done.stdout)["frames"]]


def _decoded(film: bytes) -> list[float]:
    with av.open(io.BytesIO(film), "r") as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


class _Follower:
    """An FFmpeg that plays a list from its beginning, as long as that goes on."""

    def __init__(self, url: str, folder: Path) -> None:
        self._frames = folder / "frames"
        self._log = folder / "ffmpeg.log"
        command = [need("ffmpeg"), "-hide_banner", "-v", "warning", "-live_start_index", "0"]
        command += ["-i", url, "-fps_mode", "passthrough", "-f", "framecrc", "-flush_packets", "1"]
        with self._frames.open("wb") as frames, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-"], stdin=subprocess.DEVNULL, stdout=frames, stderr=log
            )

    def count(self) -> int:
        """How many frames it has played."""
        return len(re.findall(r"^0, ", self._frames.read_text(), re.M))

    def log(self) -> str:
        """What it complained of."""
        return self._log.read_text()

    def end(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()


class TestPlaylist:
    """``index.m3u8`` in FFmpeg."""

    def test_ended_session(self, site: Site) -> None:
        """The list of an ended session plays from the first to the last frame, each at the
        time that it has in `recording.mp4`."""
        site.start_server()
        sentinel = site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "1")
        session = site.live_session("desk-1")
        site.recorded("desk-1", session, 12)
        sentinel.stop()
        base = _base(session)
        until(lambda: b"ENDLIST" in site.get(base + "/index.m3u8")[2], what="the list is closed")
        segments = site.recorded("desk-1", session, 12)
        times = _probed(f"{site.url}{base}/index.m3u8")
        assert len(times) == len(segments)
        film = _decoded(site.get(base + "/recording.mp4")[2])
        assert times == [round(time, 6) for time in film]

    def test_session_with_hole(self, site: Site) -> None:
        """Where something is missing FFmpeg goes on with the next keyframe, at its time."""
        there = [*range(25), *range(27, 45), *range(60, 75)]
        session = write_recording(site.data, there)
        site.start_server()
        url = f"{site.url}{_base(session)}/index.m3u8"
        shown = [*range(25), *range(30, 45), *range(60, 75)]
        times = _probed(url)
        assert [round(time * 5, 3) for time in times] == shown
        text = site.get(_base(session) + "/index.m3u8")[2]
        assert text.count(b"#EXT-X-DISCONTINUITY\n") == 2

    def test_newest_ffmpeg(self, site: Site) -> None:
        """The FFmpeg inside PyAV, which is newer, takes the same list."""
        session = write_recording(site.data, range(33))
        site.start_server()
        with av.open(f"{site.url}{_base(session)}/index.m3u8") as container:
            times = [float(frame.time or 0) for frame in container.decode(video=0)]
        assert [round(time * 5, 3) for time in times] == list(range(33))

    def test_running_session(self, site: Site, tmp_path: Path) -> None:
        """FFmpeg follows the list of a running session as it grows, and ends by itself when
        the session has ended, with every frame of it."""
        site.start_server()
        sentinel = site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "1")
        session = site.live_session("desk-1")
        base = _base(session)
        until(
            lambda: site.get(base + "/index.m3u8")[2].count(b"#EXTINF") >= 3,
            what="three intervals",
        )
        follower = _Follower(f"{site.url}{base}/index.m3u8", tmp_path)
        try:
            until(lambda: follower.count() > 0, PATIENCE_SECONDS, what="it plays")
            at_first = len(site.recorded("desk-1", session, 1))
            until(
                lambda: follower.count() > at_first,
                PATIENCE_SECONDS,
                what=f"more than the {at_first} segments of its beginning; {follower.log()}",
            )
            assert follower.process.poll() is None, follower.log()
            assert sentinel.stop() == 0
            assert follower.process.wait(PATIENCE_SECONDS) == 0, follower.log()
        finally:
            follower.end()
        assert follower.count() == len(site.recorded("desk-1", session, at_first))
        assert "error" not in follower.log().lower(), follower.log()

    def test_hole_in_a_running_session(self, site: Site, tmp_path: Path) -> None:
        """FFmpeg follows a running session across a hole, to the next keyframe and its end."""
        site.start_server()
        session = "scripted-session-0"
        sentinel = LiveSentinel(site.ws, "desk-1", session)
        sentinel.init()
        path = _base(session) + "/index.m3u8"
        # More than the 5 s that FFmpeg reads before it begins to play.
        for sequence in range(65):
            sentinel.segment(sequence)
        until(lambda: site.get(path)[2].count(b"#EXTINF") == 6, what="six intervals")
        follower = _Follower(site.url + path, tmp_path)
        try:
            until(lambda: follower.count() >= 50, PATIENCE_SECONDS, what="it plays")
            for sequence in range(67, 98):
                sentinel.segment(sequence)
            until(lambda: follower.count() > 70, PATIENCE_SECONDS, what="it is across the hole")
            assert follower.process.poll() is None, follower.log()
            sentinel.close()
            assert follower.process.wait(PATIENCE_SECONDS) == 0, follower.log()
        finally:
            follower.end()
        # 67 to 69 need what is missing.
        assert follower.count() == len([*range(65), *range(70, 98)])
        assert site.get(path)[2].count(b"#EXT-X-DISCONTINUITY\n") == 1


class TestTimeRange:
    """``recording.mp4`` with `start` and `end` in FFmpeg."""

    def test_range_of_a_session(self, site: Site) -> None:
        """A range plays from 0, from the picture asked for to its end, and seeks."""
        session = write_recording(site.data, [*range(25), *range(30, 80)])
        site.start_server()
        start, end = EPOCH_US + 37 * 200_000, EPOCH_US + 62 * 200_000
        path = f"{_base(session)}/recording.mp4?start={start}&end={end}"
        times = _probed(site.url + path)
        assert [round(time * 5, 3) for time in times] == list(range(62 - 37))
        status, headers, film = site.get(path)
        assert (status, headers["VidLink-Start"]) == (200, str(start))
        assert _decoded(film) == times
        with av.open(f"{site.url}{path}") as container:
            stream = container.streams.video[0]
            container.seek(18 * 18_000, stream=stream)
            frames = [round((frame.time or 0) * 5, 3) for frame in container.decode(video=0)]
            # The keyframe before is picture 50, 13 after the first.
            assert frames == list(range(13, 62 - 37))

    def test_range_of_a_running_session(self, site: Site) -> None:
        """The range of a running session is what it was asked for, pinned by `last`."""
        site.start_server()
        site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "1")
        session = site.live_session("desk-1")
        segments = site.recorded("desk-1", session, 14)
        start, last = segments[7]["startTime"], segments[13]["sequence"]
        path = f"{_base(session)}/recording.mp4?start={start}&last={last}"
        _, first_headers, film = site.get(path)
        until(lambda: len(site.recorded("desk-1", session, 16)) >= 16, what="two more")
        _, headers, again = site.get(path)
        assert (headers["ETag"], again) == (first_headers["ETag"], film)
        times = _decoded(film)
        assert times[0] == 0
        first = segments[7]["sequence"]
        assert len(times) == last - first + 1
        for (one, other), (row, after) in zip(
            pairwise(times), pairwise(segments[first : last + 1]), strict=True
        ):
            assert abs((other - one) - (after["startTime"] - row["startTime"]) / 1e6) < 0.1
