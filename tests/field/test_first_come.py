"""Scripts that start before what they watch: a sentinel that the server has never seen."""

from __future__ import annotations

import subprocess

from tests.rigs.commands import begun
from tests.rigs.daemons import START_SECONDS, Site, until
from tests.rigs.needs import need
from tests.rigs.proctor import LiveProctor
from vidlink.messages import Subscribe, Subscribed
from vidlink.model import Segment


def test_watch_first(site: Site) -> None:
    """`vidlink watch` says that it waits, and shows the sentinel when it is started."""
    ffprobe = need("ffprobe")
    site.start_server()
    film_path, said_path = site.folder / "film.mp4", site.folder / "said"
    with film_path.open("wb") as film, said_path.open("wb") as said:
        watching = begun(site, "watch", "desk-1", stdout=film, stderr=said)
    try:
        until(lambda: b"waiting for it" in said_path.read_bytes(), what="it says that it waits")
        assert b"desk-1 was never seen by the server" in said_path.read_bytes()
        site.start_sentinel("desk-1", "--fps", "5")
        until(lambda: film_path.read_bytes().count(b"mdat") > 3, what="there is a film")
    finally:
        watching.terminate()
        watching.wait(START_SECONDS)
    command = [ffprobe, "-v", "error", "-count_frames", "-of", "csv=p=0"]
    command += ["-show_entries", "stream=nb_read_frames", str(film_path)]
    run = subprocess.run(command, capture_output=True, timeout=60)
    assert int(run.stdout) > 2


def test_script_first(site: Site) -> None:
    """A script that subscribes in JSON is told that nobody knows the sentinel, and served when it
    comes."""
    site.start_server()
    proctor = LiveProctor(site.ws, "vidlink.v1.json")
    proctor.say(Subscribe("desk-1"))
    assert proctor.wait_for(Subscribed) == Subscribed("desk-1", is_known=False)
    site.start_sentinel("desk-1", "--fps", "5")
    assert proctor.wait_for(Subscribed).session_id is not None
    assert proctor.wait_for(Segment).sequence == 0
    proctor.close()
