"""Starts child processes that cannot outlive their parent process.

The kernel's death signal fires when the *thread* that forked ends, not only when its process does. Servers are started
from short-lived threads, so all forks happen on one thread that lives as long as the process.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

# Arms the death signal, checks that the parent has not died before that, becomes the command.
ARM_AND_EXEC = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,9,0,0,0)\n"
    "os.getppid()==int(sys.argv[1]) or sys.exit(97)\n"
    "os.execvpe(sys.argv[2],sys.argv[2:],os.environ)"
)

_Job = tuple["Future[subprocess.Popen[bytes]]", Sequence[str], dict[str, Any]]
_jobs: SimpleQueue[_Job] = SimpleQueue()
_start_lock = threading.Lock()
_spawner: threading.Thread | None = None


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """Return a command that runs `argv` and is killed when this process ends for any reason."""
    return [sys.executable, "-I", "-S", "-c", ARM_AND_EXEC, str(os.getpid()), *argv]


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session, so that Ctrl-C reaches only this process."""
    global _spawner  # noqa: PLW0603 (one per process by nature)
    with _start_lock:
        if _spawner is None or not _spawner.is_alive():
            _spawner = threading.Thread(target=_serve, name="spawner", daemon=True)
            _spawner.start()
    started: Future[subprocess.Popen[bytes]] = Future()
    options = {
        "env": None if env is None else dict(env),
        "cwd": cwd,
        "stdin": stdin,
        "stdout": stdout,
        "stderr": stderr,
        "start_new_session": True,
    }
    _jobs.put((started, argv, options))
    return started.result()


def tail(file: Path, lines: int) -> str:
    """Return the last lines of a log; "" if it does not exist."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 400 * lines))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _serve() -> None:
    while True:
        started, argv, options = _jobs.get()
        try:
            process: Any = subprocess.Popen(argv, **options)
            started.set_result(process)
        except BaseException as error:  # noqa: BLE001 (raised in the waiting caller)
            started.set_exception(error)
