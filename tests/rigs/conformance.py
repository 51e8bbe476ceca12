"""The Autobahn|Testsuite: some hundred WebSocket conversations with a server, each judged.

It runs on Python 2.7 alone, so it is installed in an environment of its own, the first time that
it is asked for; see :mod:`tests.rigs.cached`. Compression is left out: there is none to be tested.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import SkipTest

from tests.rigs.cached import install, once

SUITE = "autobahntestsuite==25.10.1"
#: The last ones that still make environments for Python 2.7.
VIRTUALENV = "virtualenv<20.22"
AGENT = "VidLink"
COMPRESSION = ("12.*", "13.*")
#: The suite takes 22 s on an idle machine.
RUN_SECONDS = 240.0
_PASSED = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})


def find_python2(environ: Mapping[str, str] = os.environ) -> str:
    """A Python 2.7, from ``PATH`` or from pyenv; SkipTest where there is none.

    That is a skip everywhere: systems of today do not bring one.
    """
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    found = sorted((pyenv / "versions").glob("2.7*/bin/python"), reverse=True)
    for python in (*(Path(folder) / "python2.7" for folder in folders), *found):
        if _is_python2(python):
            return os.fspath(python)
    raise SkipTest("needs Python 2.7, as python2.7 on PATH or among pyenv's versions")


def verdicts(
    url: str,
    folder: Path,
    *,
    subprotocol: str,
    cases: Sequence[str] = ("*",),
    python2: str,
) -> dict[str, str]:
    """Run `cases` against `url`, and tell each one's verdict, such as OK or FAILED.

    The closing handshake is judged by itself; where only that fails, the verdict says so.

    :param folder: where the suite leaves its report, in HTML as well.
    """
    wstest = once(f"wstest-{SUITE.rpartition('=')[2]}", lambda room: _install(room, python2))
    report = folder / "report"
    specification = folder / "fuzzingclient.json"
    specification.write_text(_specification(url, report, subprotocol, cases))
    _run([os.fspath(wstest / "bin" / "wstest"), "-m", "fuzzingclient", "-s", str(specification)])
    results = json.loads((report / "index.json").read_text())[AGENT]
    return {case: _verdict(result) for case, result in results.items()}


def _specification(url: str, report: Path, subprotocol: str, cases: Sequence[str]) -> str:
    """What the suite reads; its version 18 is the draft that became RFC 6455."""
    server = {
        "agent": AGENT,
        "url": url,
        "protocols": [subprotocol],
        "options": {"version": 18},
    }
    return json.dumps(
        {
            "outdir": os.fspath(report),
            "options": {"failByDrop": False},
            "servers": [server],
            "cases": list(cases),
            "exclude-cases": list(COMPRESSION),
            "exclude-agent-cases": {},
        }
    )


def _verdict(result: Mapping[str, str]) -> str:
    verdict, closing = result["behavior"], result["behaviorClose"]
    if verdict in _PASSED and closing not in _PASSED:
        return f"CLOSING {closing}"
    return verdict


def _is_python2(python: Path) -> bool:
    check = [os.fspath(python), "-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]
    try:
        return subprocess.run(check, capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


def _install(room: Path, python2: str) -> None:
    """Make `room` an environment with the suite in it; it may not be moved afterwards."""
    tools = room / "tools"
    install([sys.executable, "-m", "pip", "install", "-q", "--target", str(tools), VIRTUALENV])
    make = [sys.executable, "-m", "virtualenv", "-q", "-p", python2, os.fspath(room)]
    install(make, {"PYTHONPATH": os.fspath(tools)})
    install([os.fspath(room / "bin" / "pip"), "install", "-q", SUITE])


def _run(command: list[str]) -> None:
    run = subprocess.run(
        command,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        cwd=Path(command[-1]).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if run.returncode:
        raise AssertionError(f"the suite ended with {run.returncode}:\n{run.stdout[-2000:]}")
