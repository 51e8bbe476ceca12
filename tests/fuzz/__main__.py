"""``python -m tests.fuzz {boxes,binary,cbor,json,protobuf} [--seconds N] [--folder FOLDER]``.

Inputs are made of valid ones by libFuzzer, which keeps those that reach what none has reached
before. In the folder are `corpus`, with which another run goes on, and `findings`, of which each is
one input; a file that is named behind the options is tried once more. Ends with 1 at a finding.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

#: The longest input that is made by chance; :func:`_stretched` makes longer ones.
_MOST_BYTES = 64 * 1024
_MEBIBYTE = 1024 * 1024


def _stretched(seeds: list[bytes]) -> Iterator[bytes]:
    """Inputs of 1 MiB: each valid one with some of it repeated, wherever that is."""
    for seed in seeds:
        for cut in range(0, min(len(seed), 1024), max(1, min(len(seed), 1024) // 8)):
            for size in (1, 8, 64):
                piece = seed[cut : cut + size]
                rest = seed[cut + size :]
                times = (_MEBIBYTE - cut - len(rest)) // len(piece)
                yield seed[:cut] + piece * times + rest


def main() -> None:
    """Look for findings for as long as is said."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--folder", type=Path, default=Path("fuzz"))
    parser.add_argument("again", type=Path, nargs="*", help="findings that are to be tried again")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("Atheris is not installed: pip install atheris")
    engine: Any = atheris
    with engine.instrument_imports(include=["vidlink"]):
        from tests.fuzz.targets import TARGETS, forget_peak, within_bounds
    target = TARGETS.get(options.target)
    if target is None:
        sys.exit(f"there is {', '.join(TARGETS)}; not {options.target}")

    def take(data: bytes) -> None:
        with within_bounds(len(data)):
            target.take(data)

    if options.again:
        for path in options.again:
            take(path.read_bytes())
        return
    folder = options.folder / options.target
    corpus, findings = folder / "corpus", folder / "findings"
    for place in (corpus, findings):
        place.mkdir(parents=True, exist_ok=True)
    seeds = list(target.seeds())
    for seed in seeds:
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    for data in _stretched(seeds):
        try:
            take(data)
        except Exception:
            name = findings / f"stretched-{sha256(data).hexdigest()[:16]}"
            name.write_bytes(data)
            print(f"finding: {name}", file=sys.stderr)
            raise
    forget_peak()
    words = folder / "words"
    words.write_text("".join(f'"{word.decode("ascii")}"\n' for word in target.words))
    arguments = [
        sys.argv[0], f"-max_total_time={options.seconds}", f"-max_len={_MOST_BYTES}",
        f"-dict={words}", f"-artifact_prefix={findings}/", "-print_final_stats=1",
        # The bounds of ours are tighter, and count the time of the processor.
        "-timeout=60", "-rss_limit_mb=2048", str(corpus),
    ]  # fmt: skip
    engine.Setup(arguments, take)
    engine.Fuzz()


if __name__ == "__main__":
    main()
