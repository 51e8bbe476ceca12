"""A drawing of what a message costs each server, as SVG that is read on light and on dark."""

from __future__ import annotations

from html import escape

from benchmarks.relay.results import Results, number
from benchmarks.relay.workloads import PEERS

#: The groups: a load, its heading, the figure, its unit, and how it is written.
_GROUPS = (
    ("W1x20", "One screen to 200 viewers", "us", "µs"),
    ("W2s", "A room: 300 screens, ten viewers of 30", "us", "µs"),
    ("W3s", "1,000 screens, five viewers", "us", "µs"),
    ("W4", "As fast as it goes, 20 KB", "us", "µs"),
    ("W5", "As fast as it goes, 1 KB", "us", "µs"),
    ("range-1M", "1 MiB pieces of a recording, a request", "us", "µs"),
)
_NAMES = {
    "vidlink": "VidLink, recording",
    "nchan": "nchan (nginx, C)",
    "ws": "ws (Node)",
    "picows": "picows (Cython)",
    "autobahn": "Autobahn",
    "c": "a relay in C",
    "nginx": "nginx",
    "static": "Twisted static.File",
}
_WIDTH, _NAME_WIDTH, _BAR, _STEP, _HEAD = 720, 170, 14, 20, 34
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .head { font-weight: 600; }
  rect { fill: #8c959f; }
  .ours { fill: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    rect { fill: #6e7681; }
    .ours { fill: #3fb950; }
  }
"""


def picture(results: Results) -> str:
    """One group of bars for each load that was measured."""
    parts: list[str] = []
    top = 20
    title = "CPU time a message (shorter is better); the others only pass on, VidLink records too"
    parts.append(f'<text class="head" x="0" y="{top}">{escape(title)}</text>')
    for load, heading, figure, unit in _GROUPS:
        bars = [
            (name, value)
            for name in (peer.name for peer in PEERS)
            if name in _NAMES and (value := results.figure(load, name, figure)) is not None
        ]
        if not bars:
            continue
        top += _HEAD
        parts.append(f'<text class="head" x="0" y="{top}">{escape(heading)}</text>')
        most = max((value for name, value in bars if results.is_steady(load, name)), default=1.0)
        for name, value in bars:
            top += _STEP
            if results.is_steady(load, name):
                parts.append(_bar(name, value / most, f"{number(value)} {unit}", top))
            else:
                parts.append(_bar(name, 0.0, "fell behind", top))
    size = f'width="{_WIDTH}" height="{top + 12}" viewBox="0 0 {_WIDTH} {top + 12}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(name: str, share: float, text: str, base: int) -> str:
    width = max(1.0, share * (_WIDTH - _NAME_WIDTH - 80))
    kind = ' class="ours"' if name == "vidlink" else ""
    return (
        f'<text x="12" y="{base}">{escape(_NAMES[name])}</text>'
        f'<rect{kind} x="{_NAME_WIDTH}" y="{base - _BAR + 3}" width="{width:.0f}" height="{_BAR}"/>'
        f'<text x="{_NAME_WIDTH + width + 6:.0f}" y="{base}">{escape(text)}</text>'
    )
