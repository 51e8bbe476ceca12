"""What tests install for themselves, once for each user, outside of the tree.

Below ``VIDLINK_TEST_CACHE``, or else the user's cache (XDG Base Directory Specification). A folder
that was not made to its end is made anew; runs at the same time wait for one another. What could
not be installed is not tried again by the same process: each test would wait for minutes for
nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import SkipTest

from tests.rigs.needs import Missing, do_without

CACHE = "VIDLINK_TEST_CACHE"
#: What an installation may take, many times what it takes with a slow line.
INSTALL_SECONDS = 300.0

# What this process does without, and what was said of it.
_done_without: dict[Path, SkipTest | Missing] = {}


def once(name: str, make: Callable[[Path], None], environ: Mapping[str, str] = os.environ) -> Path:
    """The folder `name`, which `make` has filled, now or in an earlier run.

    Whoever changes what `make` does has to change `name`.
    """
    cache = _cache(environ)
    cache.mkdir(parents=True, exist_ok=True)
    folder, complete = cache / name, cache / f"{name}.complete"
    if folder in _done_without:
        raise _done_without[folder]
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (complete.exists() and folder.is_dir()):
            complete.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                make(folder)
            except (SkipTest, Missing) as why:
                _done_without[folder] = why
                raise
            complete.touch()
    return folder


def install(command: list[str], environ: Mapping[str, str] | None = None) -> None:
    """Run one step of an installation; the test does without if it fails: what is missing is
    most likely the network."""
    every = {**os.environ, **(environ or {})}
    try:
        run = subprocess.run(
            command,
            env=every,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        do_without(f"needs {' '.join(command)}, which took more than {INSTALL_SECONDS:g} s", every)
    if run.returncode:
        do_without(f"needs {' '.join(command)}, which failed: {run.stdout[-2000:]}", every)


def _cache(environ: Mapping[str, str]) -> Path:
    own = environ.get(CACHE)
    if own:
        return Path(own)
    users = environ.get("XDG_CACHE_HOME")
    return (Path(users) if users else Path.home() / ".cache") / "vidlink-tests"
