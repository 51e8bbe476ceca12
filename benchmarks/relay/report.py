"""The results as tables, in the page that readers know, and as its picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks.relay.picture import picture
from benchmarks.relay.results import GOALS, Goal, Results, number
from benchmarks.relay.workloads import PEERS, RANGES, WORKLOADS

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "reference" / "performance.md"
PICTURE = _ROOT / "docs" / "performance.svg"
#: What is between these lines is written by this module.
BEGIN, END = "<!-- results begin -->\n", "<!-- results end -->\n"

_TITLES = {peer.name: peer.title for peer in PEERS}
#: The columns of a table: the figure, its heading, how it is written, and by what it is multiplied.
_COLUMNS = (
    ("us", "CPU µs", "{:.1f}", 1),
    ("in_per_s", "in a second", "{:,.0f}", 1),
    ("out_per_s", "out a second", "{:,.0f}", 1),
    ("kept_up", "kept up", "{:.0f} %", 100),
    ("delivered", "delivered", "{:.4g} %", 100),
    ("took_ms", "all, ms", "{:,.0f}", 1),
    ("slowest_ms", "slowest, ms", "{:,.0f}", 1),
    ("gb_per_core_s", "GB a CPU second", "{:.2f}", 1),
    ("p50_ms", "p50, ms", "{:.1f}", 1),
    ("p99_ms", "p99, ms", "{:.1f}", 1),
    ("core", "of a core", "{:.0f} %", 100),
    ("rss_mb", "RSS, MB", "{:,.0f}", 1),
    ("beyond_mb", "beyond buffers, MB", "{:,.0f}", 1),
)
_FIGURES = {
    "us": "CPU a message",
    "gb_per_core_s": "GB a CPU second",
    "p99_ms": "p99",
    "delivered": "delivered",
    "core": "of a core",
    "took_ms": "all are there",
    "beyond_mb": "memory beyond buffers",
}


def told(results: Results) -> str:
    """All of it, as Markdown."""
    return "\n".join([_where(results), "", *_goals(results), "", *_tables(results)])


def publish(results: Results) -> None:
    """Write it into the page, and draw the picture."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{told(results)}\n{END}{after}", "utf-8")
    PICTURE.write_text(picture(results), "utf-8")


def goal_line(goal: Goal, results: Results) -> tuple[str, str, str, str]:
    """The load and figure, what was found, the bound, and whether it is met."""
    value = goal.value(results)
    beside = f" times {_TITLES[goal.beside]}" if goal.beside else f" {goal.unit}"
    figure = _FIGURES[goal.figure]
    if goal.figure == "us" and goal.load.startswith("range"):
        figure = "CPU a request"
    whose = "" if goal.peer == "vidlink" else ", recording nothing"
    verdict = "met" if goal.is_met(results) else "**not met**"
    if value is None:
        verdict = "**not met**: it failed" if _has_failed(goal, results) else "not measured"
    elif not goal.is_steady(results):
        verdict = "**not met**: not all kept up"
    found = "" if value is None else f"{number(value)}{beside}"
    bound = f"{'≥' if goal.is_least else '≤'} {goal.bound:g}{beside}"
    return f"{goal.load}: {figure}{whose}", found, bound, verdict


def _has_failed(goal: Goal, results: Results) -> bool:
    return bool(results.figure(goal.load, goal.peer, "failed"))


def _goals(results: Results) -> list[str]:
    lines = ["| what | measured | goal | |", "|---|---|---|---|"]
    for goal in GOALS:
        if goal.load in results.figures:
            lines.append("| " + " | ".join(goal_line(goal, results)) + " |")
    return lines if len(lines) > 2 else []


def _tables(results: Results) -> list[str]:
    lines = []
    about = {one.name: f"{one.about[0].upper()}{one.about[1:]}" for one in WORKLOADS}
    per = {one.name: f"; CPU by messages {one.cost}" for one in WORKLOADS if not one.times}
    for name, octets, connections in RANGES:
        what = f"Ranges of {octets // 1024} KiB" if octets else "The whole"
        about[name] = f"{what} of a recording of 68 MB, over {connections} connections"
        per[name] = "; CPU by requests"
    for load, peers in results.figures.items():
        columns = [one for one in _COLUMNS if any(one[0] in found for found in peers.values())]
        lines += [f"**{load}.** {about[load]}{per.get(load, '')}.", ""]
        headings = ["", *(heading for _, heading, _, _ in columns), "lowest to highest µs", "runs"]
        lines += [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
        for peer in [peer.name for peer in PEERS if peer.name in peers]:
            lines.append(f"| {' | '.join(_cells(peer, peers[peer], columns))} |")
        lines.append("")
    return lines


def _cells(
    peer: str, found: dict[str, float], columns: list[tuple[str, str, str, int]]
) -> list[str]:
    cells = [
        form.format(found[name] * factor) if name in found else ""
        for name, _, form, factor in columns
    ]
    spread = f"{found['us_least']:.1f} to {found['us_most']:.1f}" if "us_least" in found else ""
    failed = f", {found['failed']:.0f} failed" if found["failed"] else ""
    return [_TITLES[peer], *cells, spread, f"{found['runs']:.0f}{failed}"]


def _where(results: Results) -> str:
    told = results.told
    machine = told["machine"]
    versions = ", ".join(f"{_TITLES[name]} {text}" for name, text in told["versions"].items())
    missing = [_TITLES[name] for name in told["left_out"]]
    left_out = f" Left out, as they are not installed: {', '.join(missing)}." if missing else ""
    return (
        f"Measured on {told['date']}, {told['rounds']} rounds of {told['seconds']:g} s:"
        f" {machine['processor']}, {machine['memory']}, Linux {machine['kernel']},"
        f" Python {machine['python']}; {told['busy']}. {versions}.{left_out}"
    )
