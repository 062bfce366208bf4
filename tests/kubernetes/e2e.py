"""`make e2e-operator`: the tests of the operator on the API server that KUBECONFIG names.

Exit codes: 0 all passed; 1 some failed; 77 no test was run, because there is no API server. Tests that were not run are
listed and do not count as passed.
"""

import asyncio
import os
import subprocess
import sys

from tests.kubernetes.api_client import ApiClient, ApiError
from tests.kubernetes.operator_process import ROOT
from topology_operator.errors import SettingsError
from topology_operator.kubernetes.api import authenticate

PASSED, FAILED, NOT_RUN = 0, 1, 77
TESTS = "tests/kubernetes"


def main() -> int:
    environment = {**os.environ, "WARREN_E2E": "1"}
    try:
        version = asyncio.run(_version())
    except (SettingsError, OSError, ApiError, TimeoutError) as exc:
        _list_unrun(environment, str(exc) or type(exc).__name__)
        return NOT_RUN
    _say(f"API server {version}, named by KUBECONFIG")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "--durations=15", "--timeout=600", *sys.argv[1:]],
        env=environment,
        cwd=ROOT,
        check=False,
    )
    return PASSED if run.returncode == 0 else FAILED


async def _version() -> str:
    if not os.environ.get("KUBECONFIG"):
        raise SettingsError("KUBECONFIG is not set")
    async with asyncio.timeout(15), ApiClient(authenticate()).open() as cluster:
        return str((await cluster.send("GET", "/version"))["gitVersion"])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _list_unrun(environment: dict[str, str], reason: str) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "--collect-only", "-q"],
        env=environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    tests = [line for line in listed.stdout.splitlines() if "::" in line]
    for name in tests:
        _say(f"NOT RUN  {name}")
    _say(f"\n{len(tests)} tests were NOT RUN, none passed: {reason}.")
    _say("Set KUBECONFIG to the file of a cluster in which you may do everything (kind will do) and try again.")


if __name__ == "__main__":
    sys.exit(main())
