"""Checks of an image, in a container without capabilities."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

INSIDE = """
import importlib.util, json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def writable(folder):
    try:
        open(folder + "/probe", "w").close()
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "privileges": int(status["NoNewPrivs"]),
    "writable": [folder for folder in ("/", "/app", "/tmp", "/opt/warren", "/var/tmp", "/run") if writable(folder)],
    "pip": importlib.util.find_spec("pip") is not None,
    "compiled": all(
        os.path.isdir(folder + "/__pycache__") and len(os.listdir(folder + "/__pycache__")) > 0
        for folder, _, names in os.walk("/app")
        if any(name.endswith(".py") for name in names)
    ),
}))
"""
SHUT = ["--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]
LARGEST = 260e6  # bytes

Check = Callable[[str, str], None]


class CheckFailed(Exception):
    """An image is not as it must be; the message says in what."""


def shut_in(program: str, image: str) -> None:
    """It runs as a user that is not root, without a capability, and finds nothing that it could write."""
    found = _inside(program, image)
    _expect("user", found["uid"], 10001)
    _expect("capabilities", found["capabilities"], [0, 0, 0, 0])
    _expect("no new privileges", found["privileges"], 1)
    _expect("writable folders", found["writable"], [])


def complete(program: str, image: str) -> None:
    """All of its code is compiled, and what installs packages is not in it."""
    found = _inside(program, image)
    _expect("compiled", found["compiled"], True)
    _expect("pip is in it", found["pip"], False)


def small(program: str, image: str) -> None:
    size = int(_run(program, "image", "inspect", "--format", "{{.Size}}", image).stdout)
    _expect(f"{size / 1e6:.0f} MB are too many", size > LARGEST, False)


def clear(program: str, image: str) -> None:
    """Started without settings, it says in one line which is missing."""
    done = _run(program, "run", *SHUT, image, "worker")
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode == 0 or len(lines) != 1 or "WARREN_" not in lines[0]:
        raise CheckFailed(f"without settings it ends with {done.returncode} and says {lines[-3:]}")


CHECKS: tuple[Check, ...] = (shut_in, complete, small, clear)


def _inside(program: str, image: str) -> dict[str, Any]:
    done = _run(program, "run", *SHUT, "--entrypoint", "python", image, "-c", INSIDE)
    if done.returncode:
        raise CheckFailed(f"it cannot be run: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise CheckFailed(f"{what}: {found}, not {wanted}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
