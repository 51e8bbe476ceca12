"""System calls of a running server that fail, are late, or are its last: strace's injections."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.mounts import need_root
from tests.rigs.daemons import Daemon, until
from tests.rigs.needs import need


def killing(call: str, number: int) -> list[str]:
    """What to put before a command whose `number`-th `call`, in any one thread, is its last."""
    need_root()
    inject = f"inject={call}:signal=KILL:when={number}"
    # Not with --seccomp-bpf, quick as it is: strace 6.1 forgets to send the signal then.
    words = ["-D", "-f", "-qqq", "-o", os.devnull, "-e", f"trace={call}"]
    return [need("strace"), *words, "-e", inject]


def lying(*calls: str) -> list[str]:
    """What to put before a command whose `calls` do nothing, and say that they have."""
    need_root()
    names = ",".join(calls)
    words = ["-D", "-f", "--seccomp-bpf", "-qqq", "-o", os.devnull, "-e", f"trace={names}"]
    return [need("strace"), *words, "-e", f"inject={names}:retval=0"]


def threads(pid: int) -> list[int]:
    """The threads of a process."""
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def writer_thread(server: Daemon) -> int:
    """The thread that writes recordings: of all but the first, the one that has written most.

    So a fault is given to that thread alone, and tracing slows nobody else down.
    """
    pid = server.process.pid
    wrote = {tid: _written_bytes(pid, tid) for tid in threads(pid) if tid != pid}
    assert any(wrote.values()), f"no thread has written anything yet: {wrote}"
    return max(wrote, key=lambda tid: wrote[tid])


def _written_bytes(pid: int, tid: int) -> int:
    words = Path(f"/proc/{pid}/task/{tid}/io").read_text().split()
    return int(words[words.index("wchar:") + 1])


@contextmanager
def injected(server: Daemon, *injections: str, tid: int | None = None) -> Iterator[Path]:
    """Let system calls of `server` fail meanwhile, as strace spells it: ``writev:error=EIO``.

    They are those of all threads, or of thread `tid` alone. Gives the file in which strace says
    what was called.
    """
    need_root()
    pid = server.process.pid
    said = server.log_path.with_suffix(f".{pid}-{tid}.strace")
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    which = ["-p", str(tid)] if tid is not None else ["-f", "-p", str(pid)]
    words = [f"--inject={injection}" for injection in injections]
    command = [need("strace"), "-qqq", "-o", str(said), *which, f"--trace={calls}", *words]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        traced = [pid] if tid is None else [tid]
        until(lambda: _are_traced(pid, traced, strace.pid), what="strace has attached")
        yield said
    finally:
        _end(strace)


def _are_traced(pid: int, traced: Sequence[int], tracer: int) -> bool:
    """Whether `tracer` traces these threads, or has already been the end of them."""
    wanted = f"TracerPid:\t{tracer}\n"
    try:
        statuses = [Path(f"/proc/{pid}/task/{tid}/status").read_text() for tid in traced]
    except OSError:
        return True
    return all(wanted in status for status in statuses)


def _end(strace: subprocess.Popen[bytes]) -> None:
    """Let go of what is traced: on this signal strace detaches before it ends."""
    if strace.poll() is None:
        strace.send_signal(signal.SIGTERM)
    try:
        strace.communicate(timeout=10.0)
    except subprocess.TimeoutExpired:
        strace.kill()
        strace.communicate()
        raise
