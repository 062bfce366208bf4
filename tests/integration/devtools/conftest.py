import os
import time
from pathlib import Path

import pytest

from devtools.local.instance import ProcessIdentity
from devtools.paths import short_hash


class ProcessesOf:
    """The running processes of the instance in a folder: its servers, and the scripts that start and confine them."""

    def __init__(self, instance_dir: Path) -> None:
        self._key = f"{short_hash(str(instance_dir.resolve()))}-".encode()  # in every path and name

    def __call__(self) -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    content = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                except OSError:
                    continue
                if self._key in content and ProcessIdentity.of(int(process.name)):
                    found.append(int(process.name))
        return found

    def wait_until_gone(self, time_limit: float = 5.0) -> None:
        deadline = time.monotonic() + time_limit
        while left := self():
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> ProcessesOf:
    return ProcessesOf(tmp_path)
