"""The age of the picture that a viewer sees, and the time until a newcomer sees the current one.

``python -m benchmarks.latency [--frames N] [--slow-frames N] [--joins N]`` from the root of the
tree; needs Chromium. It takes about six minutes: at 0.2 frames a second there is one picture in
five seconds, and each join waits for the last keyframe to be eight seconds old.

A real server, a real sentinel with the test picture (1280x720), and the page in headless
Chromium, all on this machine and its one clock. For every frame that the browser reports with
`requestVideoFrameCallback`, the time of capture is read from the bar code in the picture and
compared with the time at which the browser expects the frame on the screen. A join counts from
the click to the first frame on the screen, which has to be the current one: no older than a
frame time and the latency.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.rigs.daemons import Site, until
from tests.rigs.needs import need

READ_BARCODE = (Path(__file__).parents[1] / "tests" / "browser" / "barcode.js").read_text()
#: The promise: the 95th percentile of the age, and the slowest join, in milliseconds.
AGE_TARGET_MS = 250
JOIN_TARGET_MS = 500
#: The keyframe interval is 50 frames.
JOIN_FRAMES = 40

_WATCH = """
(count) => new Promise((done) => {
  const read = READ_BARCODE;
  const video = document.querySelector("figure.screen video.shown");
  const ages = [];
  const look = (now, { expectedDisplayTime }) => {
    const code = read(video);
    const shown = performance.timeOrigin + Math.max(now, expectedDisplayTime);
    if (code !== null) ages.push([code.number, shown - code.timeMs]);
    if (ages.length >= count) done(ages);
    else video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})
""".replace("READ_BARCODE", READ_BARCODE)

_JOIN = """
(sentinel) => new Promise((done) => {
  const read = READ_BARCODE;
  const begun = performance.now();
  const look = () => {
    const video = document.querySelector("figure.screen video.shown");
    const code = video === null ? null : read(video);
    if (code === null) return requestAnimationFrame(look);
    done([performance.now() - begun, performance.timeOrigin + performance.now() - code.timeMs]);
  };
  location.hash = `#/watch/${sentinel}`;
  requestAnimationFrame(look);
})
""".replace("READ_BARCODE", READ_BARCODE)


def ages(page: Page, sentinel: str, count: int) -> list[float]:
    """The age at display of so many pictures, in milliseconds; each picture counts once."""
    page.evaluate("(to) => { location.hash = to; }", f"#/watch/{sentinel}")
    page.wait_for_selector("figure.screen video.shown", timeout=60_000)
    seen: dict[int, float] = {}
    for number, age in page.evaluate(_WATCH, count + 1):
        seen.setdefault(number, age)
    # The first one was there before anybody looked.
    return list(seen.values())[1:]


def joins(page: Page, site: Site, sentinel: str, count: int) -> list[tuple[float, float]]:
    """Time from click to picture, and the age of that picture, in milliseconds.

    Each join waits until the newest keyframe is `JOIN_FRAMES` old, so that there is something
    to decode before the current picture.
    """
    found = []
    for _ in range(count):
        page.evaluate("() => { location.hash = '#/'; }")
        page.wait_for_selector("figure.screen", state="detached")
        until(lambda: frames_since_keyframe(site, sentinel) >= JOIN_FRAMES, pause=0.2)
        took, age = page.evaluate(_JOIN, sentinel)
        found.append((took, age))
    return found


def frames_since_keyframe(site: Site, sentinel: str) -> int:
    """The number of segments of its live session since the newest keyframe."""
    session = site.live_session(sentinel)
    path = f"/api/v1/sentinels/{sentinel}/sessions/{session}/segments?limit=5000"
    rows = site.get_json(path)["segments"]
    newest = max(row["sequence"] for row in rows if row["keyframe"])
    return int(rows[-1]["sequence"]) - int(newest)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def tell(what: str, values: list[float], target_ms: float) -> None:
    """One line of the result."""
    p95 = percentile(values, 0.95)
    print(
        f"{what:34} n {len(values):4}  p50 {statistics.median(values):4.0f}  p95 {p95:4.0f}  "
        f"max {max(values):4.0f} ms  ({'within' if p95 < target_ms else 'MISSES'} {target_ms} ms)",
        flush=True,
    )


def measure(browser: Browser, site: Site, options: Any) -> None:
    """All of it, against running daemons."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    page.goto(site.url)
    page.wait_for_selector("body[data-connection=connected]")
    tell("age at 5 frames a second", ages(page, "quick", options.frames), AGE_TARGET_MS)
    tell("age at 0.2 frames a second", ages(page, "slow", options.slow_frames), AGE_TARGET_MS)
    joined = joins(page, site, "quick", options.joins)
    tell("join between keyframes, to picture", [took for took, _ in joined], JOIN_TARGET_MS)
    current = sum(age < 200 + AGE_TARGET_MS for _, age in joined)
    print(f"{current} of {len(joined)} joins began with the current picture")


def main() -> None:
    """Start everything, measure, and end everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=200, help="pictures at 5 a second")
    parser.add_argument("--slow-frames", type=int, default=24, help="pictures at 0.2 a second")
    parser.add_argument("--joins", type=int, default=20, help="one takes about 9 s")
    options = parser.parse_args()
    program = need("chromium")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(Path(folder))
        try:
            site.start_server()
            site.start_sentinel("quick", "--source", "test:1280x720", "--fps", "5")
            site.start_sentinel("slow", "--source", "test:1280x720", "--fps", "0.2")
            session = site.live_session("quick")
            site.live_session("slow")
            until(lambda: len(site.recorded("quick", session, 1)) > 25)
            browser = playwright.chromium.launch(
                executable_path=program, headless=True, args=sandbox
            )
            measure(browser, site, options)
            browser.close()
        finally:
            site.stop()


if __name__ == "__main__":
    main()
