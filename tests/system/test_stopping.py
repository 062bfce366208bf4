"""A process that receives several SIGTERMs shuts down once, with exit code 0."""

import os
import signal
import time
from contextlib import suppress

from devtools.local.system import System


def test_repeated_sigterms_change_nothing(system: System) -> None:
    """Kubernetes, a person and a supervisor may each send one, the last of them while the interpreter is ending."""
    processes = system.processes
    processes.start(system.process("email", as_name="email-2"))
    pid = processes.pids["email-2"]
    deadline = time.monotonic() + 30
    while "consuming" not in processes.log_file("email-2").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while "email-2" in processes.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    assert processes.stop("email-2") == 0
