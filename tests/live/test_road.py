"""The whole road with real daemons: recorded as sent, decodable, and whole after every fault."""

from __future__ import annotations

import io
import json
import signal
from itertools import pairwise
from pathlib import Path

import av

from tests.rigs.daemons import Site, until
from vidlink.fmp4 import read_fragment, read_init


def _base(sentinel_id: str, session_id: str) -> str:
    return f"/api/v1/sentinels/{sentinel_id}/sessions/{session_id}"


def _frames(data: bytes) -> list[float]:
    """The times in seconds of all pictures that decode from `data`."""
    with av.open(io.BytesIO(data), "r") as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def _ended(site: Site, base: str) -> bool:
    return bool(site.get_json(base)["state"] != "live")


class TestRecording:
    """What is recorded is what was sent, and it plays."""

    def test_recording_decodes_at_five_frames_a_second(self, site: Site) -> None:
        """`recording.mp4` decodes from the first to the last frame, 0.2 s apart."""
        site.start_server()
        sentinel = site.start_sentinel("desk-1", "--fps", "5")
        session = site.live_session("desk-1")
        site.recorded("desk-1", session, 12)
        assert sentinel.stop() == 0
        base = _base("desk-1", session)
        until(lambda: _ended(site, base), what="the session has ended")
        segments = site.recorded("desk-1", session, 12)
        status, headers, film = site.get(base + "/recording.mp4")
        assert status == 200
        assert headers["Content-Type"] == "video/mp4"
        assert int(headers["Content-Length"]) == len(film)
        times = _frames(film)
        assert len(times) == len(segments)
        steps = [b - a for a, b in pairwise(times)]
        assert times[0] == 0
        assert sorted(steps)[len(steps) // 2] < 0.2 * 1.5
        starts = [row["startTime"] / 1e6 for row in segments]
        for time, start in zip(times, starts, strict=True):
            assert abs((start - starts[0]) - time) < 0.1

    def test_recording_decodes_at_a_frame_every_five_seconds(self, site: Site) -> None:
        """At 0.2 frames a second the pictures of `recording.mp4` are five seconds apart."""
        site.start_server()
        sentinel = site.start_sentinel("desk-1", "--fps", "0.2")
        session = site.live_session("desk-1")
        until(
            lambda: len(site.recorded("desk-1", session, 1)) >= 3,
            seconds=60,
            what="three segments",
        )
        sentinel.stop()
        film = site.get(_base("desk-1", session) + "/recording.mp4")[2]
        times = _frames(film)
        assert len(times) >= 3
        for first, second in pairwise(times):
            assert 4.0 < second - first < 6.0

    def test_any_range_from_a_keyframe_decodes_after_the_init(self, site: Site) -> None:
        """init.mp4 and segments from any keyframe on are a film; each is its segments' bytes."""
        site.start_server()
        site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "1")
        session = site.live_session("desk-1")
        segments = site.recorded("desk-1", session, 13)
        base = _base("desk-1", session)
        init = site.get(base + "/init.mp4")[2]
        media = read_init(init)
        keyframes = [row["sequence"] for row in segments if row["keyframe"]]
        last = segments[-1]["sequence"]
        assert len(keyframes) >= 2
        singles = {}
        for row in segments:
            status, headers, data = site.get(f"{base}/segments/{row['sequence']}")
            assert (status, headers["Content-Type"]) == (200, "video/mp4")
            assert len(data) == row["size"] == int(headers["Content-Length"])
            assert read_fragment(data, media).sequence == row["sequence"]
            singles[row["sequence"]] = data
        for keyframe in keyframes:
            body = site.get(f"{base}/segments/{keyframe}-{last}")[2]
            assert body == b"".join(singles[n] for n in range(keyframe, last + 1))
            assert len(_frames(init + body)) == last - keyframe + 1


class TestRestarts:
    """Either daemon may die at any time; the other reconnects and no recording is harmed."""

    def test_server_killed(self, site: Site) -> None:
        """After a killed server the sentinel begins a new session, and the old one is whole."""
        server = site.start_server()
        site.start_sentinel("desk-1", "--fps", "5")
        first = site.live_session("desk-1")
        before = site.recorded("desk-1", first, 10)
        server.kill()
        site.start_server()
        second = site.live_session("desk-1", other_than=first)
        assert second != first
        after = site.recorded("desk-1", first, len(before))
        assert [row["sequence"] for row in before] == [
            row["sequence"] for row in after[: len(before)]
        ]
        record = site.get_json(_base("desk-1", first))
        assert record["state"] == "ended"
        assert [gap["cause"] for gap in record["gaps"]] == ["server-stopped"]
        assert len(_frames(site.get(_base("desk-1", first) + "/recording.mp4")[2])) == len(after)
        site.recorded("desk-1", second, 3)

    def test_sentinel_killed(self, site: Site) -> None:
        """After a killed sentinel its session ends, and its successor begins another."""
        site.start_server()
        sentinel = site.start_sentinel("desk-1", "--fps", "5")
        first = site.live_session("desk-1")
        site.recorded("desk-1", first, 5)
        sentinel.kill()
        until(lambda: site.status_of("desk-1")["state"] == "offline", what="offline")
        site.start_sentinel("desk-1", "--fps", "5")
        second = site.live_session("desk-1", other_than=first)
        assert second != first
        film = site.get(_base("desk-1", first) + "/recording.mp4")[2]
        assert len(_frames(film)) == len(site.recorded("desk-1", first, 5))

    def test_server_stops_cleanly(self, site: Site) -> None:
        """SIGTERM: exit status 0, and everything that was listed is still there afterwards."""
        server = site.start_server()
        site.start_sentinel("desk-1", "--fps", "5")
        session = site.live_session("desk-1")
        listed = site.recorded("desk-1", session, 5)
        server.send(signal.SIGTERM)
        assert server.process.wait(20) == 0
        site.start_server()
        again = site.recorded("desk-1", session, len(listed))
        assert [row["sequence"] for row in again[: len(listed)]] == [
            row["sequence"] for row in listed
        ]
        record = site.get_json(_base("desk-1", session))
        assert record["gaps"] == []


class TestMistakes:
    """A wrong value on the command line gives one line that says what to do, and status 1."""

    def _complaint(self, site: Site, kind: str, *options: str, **environ: str) -> str:
        if kind == "server":
            daemon = site._start("vidlink-server", list(options))
        else:
            daemon = site._start("vidlink-sentinel", list(options), environ)
        until(lambda: daemon.process.poll() is not None, what="exit")
        assert daemon.process.returncode == 1, daemon.log()
        text = daemon.log()
        assert "Traceback" not in text, text
        complaints = [line for line in text.splitlines() if "twistd vidlink-" in line]
        assert len(complaints) == 1, text
        return complaints[0]

    def test_bad_endpoint(self, site: Site) -> None:
        """A listening endpoint that is none."""
        assert "nonsense" in self._complaint(site, "server", "--listen", "nonsense:80")

    def test_exposed_without_credentials(self, site: Site) -> None:
        """Listening for others without credentials."""
        line = self._complaint(site, "server", "--listen", f"tcp:{site.port}")
        assert "--no-auth" in line

    def test_port_taken(self, site: Site) -> None:
        """A port that somebody else listens on."""
        site.start_server()
        listen = f"tcp:{site.port}:interface=127.0.0.1"
        other = str(site.folder / "other")
        line = self._complaint(site, "server", "--listen", listen, "--data", other)
        assert str(site.port) in line

    def test_data_folder_in_use(self, site: Site) -> None:
        """A data folder that another server uses."""
        site.start_server()
        line = self._complaint(
            site, "server", "--listen", "tcp:0:interface=127.0.0.1", "--data", str(site.data)
        )
        assert str(site.data) in line

    def test_data_folder_not_writable(self, site: Site) -> None:
        """A data folder that cannot be made, for root as for anybody."""
        line = self._complaint(
            site, "server", "--listen", "tcp:0:interface=127.0.0.1", "--data", "/proc/nothing"
        )
        assert "/proc/nothing" in line

    def test_unknown_option(self, site: Site) -> None:
        """An option that does not exist."""
        assert "--frobnicate" in self._complaint(site, "server", "--frobnicate")

    def test_bad_url(self, site: Site) -> None:
        """A server address of another scheme."""
        line = self._complaint(site, "sentinel", "--id", "a", "--server", "ftp://x")
        assert "ws://" in line

    def test_bad_id(self, site: Site) -> None:
        """An id that is not one."""
        assert "--id" in self._complaint(site, "sentinel", "--id", "../up")

    def test_bad_rate(self, site: Site) -> None:
        """Frame rates that are not in range."""
        for text in ("0", "60", "fast", "nan"):
            assert "--fps" in self._complaint(site, "sentinel", "--id", "a", "--fps", text)

    def test_missing_file(self, site: Site) -> None:
        """A film that is not there."""
        line = self._complaint(site, "sentinel", "--id", "a", "--source", "file:/no/such.mp4")
        assert "/no/such.mp4" in line

    def test_bad_spool(self, site: Site, tmp_path: Path) -> None:
        """A spool that is a file, that cannot be made, that is somebody else's, or nothing."""
        options = ("--id", "a", "--source", "test", "--spool")
        file = tmp_path / "theirs" / "file"
        file.parent.mkdir()
        file.write_text("")
        for folder in (file, file / "spool", file.parent, tmp_path / "no" / "spool", "/proc/spool"):
            line = self._complaint(site, "sentinel", *options, str(folder))
            assert str(folder) in line
        assert "--spool" in self._complaint(site, "sentinel", *options, "")

    def test_no_display(self, site: Site) -> None:
        """A screen that is not there."""
        line = self._complaint(site, "sentinel", "--id", "a", "--source", "screen", DISPLAY=":987")
        assert ":987" in line or "DISPLAY" in line


def test_stored_is_what_was_sent(site: Site, tmp_path: Path) -> None:
    """The part file is the init and the segments, byte for byte, in the order they were sent."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 5)
    sentinel.stop()
    base = _base("desk-1", session)
    until(lambda: _ended(site, base), what="the session has ended")
    rows = site.recorded("desk-1", session, 5)
    init = site.get(base + "/init.mp4")[2]
    bodies = [site.get(f"{base}/segments/{row['sequence']}")[2] for row in rows]
    (part,) = (site.data / "recordings" / "desk-1" / session).glob("part-*.mp4")
    whole = init + b"".join(bodies)
    # The listing knows of a segment before the disk does.
    until(lambda: part.stat().st_size >= len(whole), what="the last round")
    assert part.read_bytes() == whole
    assert json.loads((part.parent / "session.json").read_text())["session_id"] == session
