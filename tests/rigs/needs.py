"""What a test needs from outside Python: found, or the test is skipped by name.

``ffmpeg = need("ffmpeg")`` at the start of a test is all that a test has to say. With
``VIDLINK_REQUIRE=all`` in the environment, as in ``.ci/run``, a missing program is a failure, so
that a test run on a machine that should have everything cannot pass by skipping.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from unittest import SkipTest

REQUIRE = "VIDLINK_REQUIRE"


@dataclass(frozen=True, slots=True)
class Program:
    """The commands that will do, best first, and the Debian package that brings one of them."""

    commands: tuple[str, ...]
    package: str


PROGRAMS: Mapping[str, Program] = {
    "chromium": Program(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "Xvfb": Program(("Xvfb",), "xvfb"),
    "ffmpeg": Program(("ffmpeg",), "ffmpeg"),
    "ffprobe": Program(("ffprobe",), "ffmpeg"),
    "ffplay": Program(("ffplay",), "ffmpeg"),
    "mpv": Program(("mpv",), "mpv"),
    "curl": Program(("curl",), "curl"),
    "nginx": Program(("nginx",), "nginx-light"),
    "glewlwyd": Program(("glewlwyd",), "glewlwyd"),
    "xclock": Program(("xclock",), "x11-apps"),
    "node": Program(("node",), "nodejs"),
    "npm": Program(("npm",), "npm"),
    "faketime": Program(("faketime",), "faketime"),
    "strace": Program(("strace",), "strace"),
    "mkfs.ext4": Program(("mkfs.ext4",), "e2fsprogs"),
    "mount": Program(("mount",), "mount"),
    "umount": Program(("umount",), "mount"),
    "prlimit": Program(("prlimit",), "util-linux"),
    "ip": Program(("ip",), "iproute2"),
    "cc": Program(("cc", "gcc", "clang"), "build-essential"),
    "systemd-analyze": Program(("systemd-analyze",), "systemd"),
}


class Missing(AssertionError):
    """Something is not there, and this run was told that everything is."""


def need(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Give the path of the program `name`, a key of `PROGRAMS`, as found on ``PATH``.

    Raises `unittest.SkipTest`, which pytest and trial both understand, when it is not there; or
    `Missing` when the environment says that it has to be.
    """
    program = PROGRAMS[name]
    for command in program.commands:
        found = shutil.which(command, path=environ.get("PATH", os.defpath))
        if found is not None:
            return found
    do_without(f"needs {name}: apt-get install {program.package}", environ)


def do_without(reason: str, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Skip the test for `reason`, or fail it where everything has to be there."""
    if environ.get(REQUIRE) == "all":
        raise Missing(f"{reason} ({REQUIRE}=all)")
    raise SkipTest(reason)
