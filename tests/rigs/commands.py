"""The `vidlink` command as a person runs it, against the daemons of a live test."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from tests.rigs.daemons import START_SECONDS, Site

VIDLINK = [sys.executable, "-c", "from vidlink.commands import main; main()"]


def environ(site: Site) -> dict[str, str]:
    """An environment in which `vidlink` finds the site, and shows its token."""
    shown = {} if site.token is None else {"VIDLINK_TOKEN": site.token}
    # Nor is anybody logged in there.
    settings = {"XDG_CONFIG_HOME": str(site.folder / "settings")}
    return {**os.environ, "VIDLINK_SERVER": site.url, **settings, **shown}


def vidlink(site: Site, *arguments: str, **wishes: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `vidlink` to its end, in the folder of the site; `input` is typed where nobody types."""
    settings: dict[str, Any] = {"env": environ(site), "cwd": site.folder} | wishes
    if "input" not in wishes:
        settings["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        [*VIDLINK, *arguments],
        capture_output=True,
        timeout=2 * START_SECONDS,
        check=False,
        **settings,
    )


def redirected(site: Site, how: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The same with streams that are redirected as a shell does: ``> /dev/full``, ``2>&-``."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {how}', "sh", *VIDLINK, *arguments],
        capture_output=True,
        timeout=2 * START_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
        env=environ(site),
        cwd=site.folder,
    )


def begun(site: Site, *arguments: str, **wishes: Any) -> subprocess.Popen[bytes]:
    """Begin `vidlink`, its output in pipes unless `wishes` say otherwise."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings = settings | {"env": environ(site)} | wishes
    begun: subprocess.Popen[bytes] = subprocess.Popen(
        [*VIDLINK, *arguments],
        cwd=site.folder,
        stdin=subprocess.DEVNULL,
        **settings,
    )
    return begun
