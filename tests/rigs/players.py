"""Stock players, asked which picture they show at a time: FFmpeg of the system and of PyAV, mpv,
and Chromium; and what readers of MP4 take for the length.

Each is given the address of a film whose pictures are those of the test source, and goes to and
fro in it. Two kinds of players there are: one shows the picture whose time it is; the other, told
to go to a time, decodes up to it and shows the first picture that begins then or later.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import av
import mutagen.mp4
from av import VideoFrame
from playwright.sync_api import sync_playwright

from tests.rigs.daemons import until
from tests.rigs.needs import need
from tests.sentinel.sources.barcodes import read_barcode

T = TypeVar("T")
#: Many times what any of them takes.
PATIENCE_SECONDS = 60.0

_BARCODE = (Path(__file__).parents[1] / "browser" / "barcode.js").read_text()
#: Goes to each of some times in turn and reads what is shown then. A picture may be on the screen
#: a moment after the seek is said to be over, and no callback comes when it is the same as before.
_LOOK = """
async ([url, times]) => {
  const video = document.createElement("video");
  const happened = (name) => new Promise((done, failed) => {
    video.addEventListener(name, done, { once: true });
    video.addEventListener("error", () => failed(video.error.message), { once: true });
  });
  const ready = happened("loadeddata");
  video.muted = true;
  video.preload = "auto";
  document.body.replaceChildren(video);
  video.src = url;
  await ready;
  const seen = [];
  for (const time of times) {
    const painted = new Promise((done) => {
      video.requestVideoFrameCallback(done);
      setTimeout(done, 500);
    });
    const over = happened("seeked");
    video.currentTime = time;
    await over;
    await painted;
    seen.push((READ)(video)?.number ?? null);
  }
  const length = video.duration;
  video.removeAttribute("src");
  video.load();
  return [seen, length];
}
""".replace("READ", _BARCODE)


def number_in(picture: VideoFrame) -> int | None:
    """The number burnt into a decoded picture; None if it cannot be read."""
    grey = picture.reformat(format="gray")
    (plane,) = grey.planes
    code = read_barcode(bytes(plane), grey.width, grey.height, plane.line_size)
    return None if code is None else code.number


def _only(data: bytes) -> int | None:
    """The number in the picture that an image file holds; None if there is none."""
    if not data:
        return None
    with av.open(io.BytesIO(data), "r") as container:
        return number_in(next(container.decode(video=0)))


class SystemFFmpeg:
    """The system's ``ffmpeg -ss TIME -i FILM``: the first picture that begins then or later."""

    name = "ffmpeg"
    shows_what_begins = True

    def shown(self, url: str, times: Sequence[float]) -> list[int | None]:
        """The number of the picture at each of `times`, in seconds."""
        with tempfile.TemporaryDirectory() as folder:
            command = [need("ffmpeg"), "-v", "error", "-y"]
            for seconds in times:
                command += ["-threads", "1", "-ss", f"{seconds:.6f}", "-i", url]
            places = [Path(folder, f"{number}.pgm") for number in range(len(times))]
            for number, place in enumerate(places):
                command += ["-map", f"{number}:v", "-frames:v", "1", "-fps_mode", "passthrough"]
                command += ["-f", "image2", "-update", "1", str(place)]
            subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS)
            return [_only(place.read_bytes() if place.exists() else b"") for place in places]

    def played(self, url: str, begin: float, end: float, rate: float) -> list[int | None]:
        """The pictures that are shown from `begin` to `end`, at a steady rate of them a second."""
        with tempfile.TemporaryDirectory() as folder:
            command = [need("ffmpeg"), "-v", "error", "-i", url, "-vf"]
            command += [f"fps={rate:g}:start_time=0:round=down,trim={begin:.6f}:{end:.6f}"]
            command += ["-f", "image2", f"{folder}/%06d.pgm"]
            subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
            return [_only(place.read_bytes()) for place in sorted(Path(folder).iterdir())]


class Mpv:
    """The system's mpv, one process for each film, with exact seeks: the first picture that
    begins then or later."""

    name = "mpv"
    shows_what_begins = True

    def shown(self, url: str, times: Sequence[float]) -> list[int | None]:
        """The number of the picture at each of `times`, in seconds."""
        with tempfile.TemporaryDirectory() as folder:
            playing = _MpvProcess(url, Path(folder))
            try:
                return [playing.seek(seconds) for seconds in times]
            finally:
                playing.end()

    def played(self, url: str, begin: float, seconds: float) -> int | None:
        """The picture that is shown when it has played for some seconds, from `begin` on."""
        with tempfile.TemporaryDirectory() as folder:
            playing = _MpvProcess(url, Path(folder))
            try:
                playing.seek(begin)
                playing.play(seconds)
                return playing.look()
            finally:
                playing.end()


class _MpvProcess:
    """One mpv, paused, told what to do over its socket."""

    def __init__(self, url: str, folder: Path) -> None:
        self._picture = folder / "shown.png"
        place = folder / "socket"
        command = [need("mpv"), "--no-config", "--really-quiet", "--no-audio", "--pause"]
        command += ["--vo=null", "--hr-seek=yes", "--keep-open=yes", "--idle=no", "--cache=no"]
        command += ["--screenshot-png-compression=0", f"--input-ipc-server={place}", url]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_SECONDS)
        until(place.exists, PATIENCE_SECONDS, what="mpv listens")
        self._socket.connect(str(place))
        self._lines = self._socket.makefile("r")
        self._count = 0
        self._events: list[str] = []
        # A film that is there at once has been loaded before anybody listened.
        until(lambda: self._property("playback-time") is not None, PATIENCE_SECONDS)

    def seek(self, seconds: float) -> int | None:
        """Go there; the number of the picture."""
        self._events.clear()
        self._say("seek", seconds, "absolute+exact")
        for event in ("seek", "playback-restart"):
            while event not in self._events:
                self._hear()
            del self._events[: self._events.index(event)]
        return self.look()

    def play(self, seconds: float) -> None:
        """Play for some seconds, by the clock on the wall."""
        self._say("set_property", "pause", False)
        time.sleep(seconds)
        self._say("set_property", "pause", True)

    def look(self) -> int | None:
        """The number of the picture that is shown."""
        self._picture.unlink(missing_ok=True)
        self._say("screenshot-to-file", str(self._picture), "video")
        return _only(self._picture.read_bytes() if self._picture.exists() else b"")

    def end(self) -> None:
        """End it."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _property(self, name: str) -> Any:
        return self._say("get_property", name).get("data")

    def _say(self, *words: object) -> Any:
        """Have it do something; its answer."""
        self._count += 1
        said = json.dumps({"command": words, "request_id": self._count})
        self._socket.sendall(said.encode() + b"\n")
        while True:
            heard = self._hear()
            if heard.get("request_id") == self._count and "event" not in heard:
                return heard

    def _hear(self) -> Any:
        heard = json.loads(self._lines.readline())
        self._events.append(heard.get("event", ""))
        return heard


class NewestFFmpeg:
    """The FFmpeg inside PyAV: seeks to a keyframe, and decodes up to the picture of the time."""

    name = "FFmpeg 8"
    shows_what_begins = False

    def shown(self, url: str, times: Sequence[float]) -> list[int | None]:
        """The number of the picture at each of `times`, in seconds."""
        with av.open(url) as container:
            return [self._at(container, seconds) for seconds in times]

    def _at(self, container: Any, seconds: float) -> int | None:
        container.seek(round(seconds * 1_000_000))
        last = None
        for frame in container.decode(video=0):
            if last is not None and frame.time > seconds:
                break
            last = frame
        return None if last is None else number_in(last)


class Chromium:
    """A ``<video>`` in Chromium, at the origin of the server: the picture of the time.

    Playwright wants a thread of its own; see `tests.browser.conftest`.
    """

    name = "Chromium"
    shows_what_begins = False

    def __init__(self, origin: str) -> None:
        self._thread = ThreadPoolExecutor(1, "chromium")
        program = need("chromium")
        self._do(lambda: self._begin(program, origin))

    def shown(self, url: str, times: Sequence[float]) -> list[int | None]:
        """The number of the picture at each of `times`, in seconds."""
        seen: list[int | None] = self._look(url, times)[0]
        return seen

    def length(self, url: str) -> float:
        """How many seconds it is long."""
        return float(self._look(url, [])[1])

    def close(self) -> None:
        """Close it."""
        self._do(self._end)
        self._thread.shutdown()

    def _look(self, url: str, times: Sequence[float]) -> Any:
        return self._do(lambda: self._page.evaluate(_LOOK, [url, list(times)]))

    def _do(self, call: Callable[[], T]) -> T:
        return self._thread.submit(call).result()

    def _begin(self, program: str, origin: str) -> None:
        self._playwright = sync_playwright().start()
        launch = self._playwright.chromium.launch
        self._browser = launch(executable_path=program, args=["--no-sandbox"])
        self._page = self._browser.new_page()
        self._page.goto(origin)

    def _end(self) -> None:
        self._browser.close()
        self._playwright.stop()


def ffprobe_length(url: str) -> float:
    """How many seconds a film is long, for ffprobe."""
    command = [need("ffprobe"), "-v", "error", "-show_entries", "format=duration"]
    command += ["-of", "csv=p=0", url]
    told = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
    return float(told.stdout)


def mutagen_length(url: str) -> float:
    """How many seconds a film is long, for mutagen, which reads nothing but boxes."""
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        info = mutagen.mp4.MP4(io.BytesIO(answer.read())).info
    assert info is not None
    return float(info.length)
