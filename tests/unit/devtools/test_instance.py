import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools.errors import InstanceRunningError, LocalError
from devtools.local.instance import Instance, ProcessIdentity

HOLDER = """
    import signal, sys, time
    from pathlib import Path
    from devtools.local.instance import Instance
    if {stubborn}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Instance("up", folder=Path({folder!r})) as instance:
        instance.record({{"orders": "http://127.0.0.1:8080"}}, {pids!r})
        print("held", flush=True)
        time.sleep(600)
"""


@contextmanager
def holder(folder: Path, *, stubborn: bool = False, pids: dict[str, int] | None = None) -> Iterator[int]:
    """Another process that holds the instance; its id."""
    code = textwrap.dedent(HOLDER.format(folder=str(folder), stubborn=stubborn, pids=pids or {}))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            process.kill()


def test_an_instance_is_released_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with Instance("up", folder=tmp_path) as instance:
            assert (tmp_path / "state.json").exists()
        assert instance.state is None
        assert not (tmp_path / "state.json").exists()


def test_an_instance_that_was_never_started_has_no_state(tmp_path: Path) -> None:
    instance = Instance("up", folder=tmp_path / "new")
    assert instance.state is None
    assert not instance.stop()


def test_a_second_start_names_the_running_process_and_its_url(tmp_path: Path) -> None:
    with holder(tmp_path) as pid, pytest.raises(InstanceRunningError) as refusal, Instance("up", folder=tmp_path):
        pass
    assert refusal.value.pid == pid
    assert refusal.value.urls == {"orders": "http://127.0.0.1:8080"}
    assert str(pid) in str(refusal.value)
    assert "http://127.0.0.1:8080" in str(refusal.value)


def test_other_purposes_and_checkouts_are_independent(tmp_path: Path) -> None:
    with Instance("up", folder=tmp_path / "up-1"), Instance("test", folder=tmp_path / "test-1"):
        pass


def test_another_process_stops_an_instance(tmp_path: Path) -> None:
    with holder(tmp_path) as pid:
        instance = Instance("up", folder=tmp_path)
        state = instance.state
        assert state is not None
        assert state.supervisor == ProcessIdentity.of(pid)
        assert instance.stop(time_limit=60)
        assert instance.state is None
        assert not (tmp_path / "state.json").exists()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path, stubborn=True), Instance("other", folder=tmp_path / "other"):
        assert Instance("up", folder=tmp_path).stop(time_limit=0.2)
        assert not (tmp_path / "state.json").exists()


def test_remaining_processes_of_a_killed_instance_are_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as left_over:
        with holder(tmp_path, pids={"broker": left_over.pid}) as pid:
            os.kill(pid, signal.SIGKILL)
        assert (tmp_path / "state.json").exists()
        with Instance("up", folder=tmp_path) as instance:
            assert left_over.wait(5) == -signal.SIGKILL
            assert instance.dir == tmp_path


def test_a_later_process_with_the_same_pid_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        with holder(tmp_path, pids={"broker": stranger.pid}) as pid:
            os.kill(pid, signal.SIGKILL)
        state = json.loads((tmp_path / "state.json").read_text())
        state["processes"]["broker"]["started"] -= 1
        (tmp_path / "state.json").write_text(json.dumps(state))
        with Instance("up", folder=tmp_path):
            time.sleep(0.1)
            assert stranger.poll() is None
        stranger.kill()


def test_a_damaged_state_file_does_not_prevent_a_start(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with Instance("up", folder=tmp_path):
        pass


def test_a_cache_that_is_not_a_folder_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    instance = Instance("up", folder=tmp_path / "cache" / "instances" / "up")
    with pytest.raises(LocalError, match=r"Not a directory.*WARREN_CACHE"), instance:
        pass
    with pytest.raises(LocalError, match=r"Not a directory.*WARREN_CACHE"):
        instance.stop()
