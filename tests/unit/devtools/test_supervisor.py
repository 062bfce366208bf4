import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from devtools.errors import LocalError, ProcessFailedError
from devtools.local.instance import ProcessIdentity
from devtools.processes.supervisor import ProcessSpec, Supervisor


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-I", "-S", "-c", textwrap.dedent(code)]


STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
POLITE = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("up", flush=True)
    time.sleep(600)
"""


class Lines:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.seen.append((name, line))

    def wait_for(self, name: str, line: str) -> None:
        deadline = time.monotonic() + 60
        while (name, line) not in self.seen:
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)


def test_lines_reach_the_callback_and_the_log(tmp_path: Path) -> None:
    lines = Lines()
    with Supervisor(tmp_path, lines) as supervisor:
        supervisor.start(ProcessSpec("one", python(POLITE)))
        supervisor.start(
            ProcessSpec(
                "two", python("import os, time; print(os.environ['COLOUR']); time.sleep(600)"), {"COLOUR": "blue"}
            )
        )
        lines.wait_for("one", "up")
        lines.wait_for("two", "blue")
        supervisor.check()
        assert set(supervisor.pids) == {"one", "two"}
    assert supervisor.pids == {}
    assert supervisor.log_file("two").read_text() == "blue\n"


def test_sigterm_lets_a_process_shut_down(tmp_path: Path) -> None:
    lines = Lines()
    supervisor = Supervisor(tmp_path, lines)
    supervisor.start(ProcessSpec("one", python(POLITE)))
    lines.wait_for("one", "up")
    assert supervisor.stop_all() == {"one": 0}


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    lines = Lines()
    supervisor = Supervisor(tmp_path, lines, grace=0.2)
    supervisor.start(ProcessSpec("one", python(STUBBORN)))
    lines.wait_for("one", "up")
    started = time.monotonic()
    assert supervisor.stop("one") == -signal.SIGKILL
    assert time.monotonic() - started < 30  # it would sleep for ten minutes


def test_an_unexpected_end_is_reported_with_the_last_lines(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(ProcessSpec("one", python("print('first'); raise SystemExit('no broker')")))
        with pytest.raises(ProcessFailedError) as failure:
            supervisor.wait(time_limit=60)
    assert failure.value.name == "one"
    assert failure.value.exit_code == 1
    assert "exit code 1" in str(failure.value)
    assert failure.value.log_tail == "first\nno broker"


def test_wait_ends_when_its_event_is_set(tmp_path: Path) -> None:
    enough = threading.Event()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(ProcessSpec("one", python(POLITE)))
        assert not supervisor.wait(enough, time_limit=0.2)
        enough.set()
        assert supervisor.wait(enough)


def test_one_process_crashes_and_restarts(tmp_path: Path) -> None:
    lines = Lines()
    with Supervisor(tmp_path, lines) as supervisor:
        supervisor.start(ProcessSpec("one", python(POLITE)))
        lines.wait_for("one", "up")
        first = supervisor.pids["one"]
        supervisor.kill("one")
        supervisor.check()
        supervisor.restart("one", kill=True)
        assert supervisor.pids["one"] != first
        with pytest.raises(LocalError, match="already running"):
            supervisor.start(ProcessSpec("one", python(POLITE)))


def test_a_command_that_does_not_exist_is_an_unexpected_end(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(ProcessSpec("one", ["/no/such/program"]))
        with pytest.raises(ProcessFailedError, match="No such file"):
            supervisor.wait(time_limit=60)


def test_a_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        thread = threading.Thread(target=supervisor.start, args=(ProcessSpec("one", python(POLITE)),))
        thread.start()
        thread.join()
        assert not supervisor.wait(time_limit=0.5)
        assert "one" in supervisor.pids


def test_no_process_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        from devtools.processes.supervisor import ProcessSpec, Supervisor
        supervisor = Supervisor(Path({str(tmp_path)!r}))
        for name in ("one", "two"):
            supervisor.start(ProcessSpec(name, [sys.executable, "-c", "import time; time.sleep(600)"]))
        print(*supervisor.pids.values(), flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd(), text=True) as parent:
        assert parent.stdout is not None
        children = [ProcessIdentity.of(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(child is not None and child.alive for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)
