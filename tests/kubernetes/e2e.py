"""`make e2e-operator`: the tests of the operator on the API server that KUBECONFIG names.

Exit codes: 0 all passed; 1 some failed; 77 no test was run, because there is no API server. Tests that were not run are
listed and do not count as passed.
"""

import asyncio
import os
import subprocess
import sys

from tests.kubernetes.api_client import ApiClient
from tests.kubernetes.operator_process import ROOT
from topology_operator.errors import OperatorError, SettingsError
from topology_operator.kubernetes.api import authenticate

PASSED, FAILED, NOT_RUN = 0, 1, 77
PYTEST = [sys.executable, "-m", "pytest", "tests/kubernetes"]


def main() -> int:
    environment = {**os.environ, "WARREN_E2E": "1"}
    try:
        version = asyncio.run(_version())
    except (OperatorError, OSError, TimeoutError) as exc:
        _list_tests_not_run(environment, str(exc) or type(exc).__name__)
        return NOT_RUN
    _print(f"API server {version}, named by KUBECONFIG")
    command = [*PYTEST, "--durations=15", "--timeout=600", *sys.argv[1:]]
    run = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    return PASSED if run.returncode == 0 else FAILED


async def _version() -> str:
    if not os.environ.get("KUBECONFIG"):
        raise SettingsError("KUBECONFIG is not set")
    client = ApiClient(authenticate())
    try:
        async with asyncio.timeout(15):
            return str((await client.send("GET", "/version"))["gitVersion"])
    finally:
        await client.close()


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _list_tests_not_run(environment: dict[str, str], reason: str) -> None:
    command = [*PYTEST, "--collect-only", "-q"]
    listed = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    tests = [line for line in listed.stdout.splitlines() if "::" in line]
    for name in tests:
        _print(f"NOT RUN  {name}")
    _print(f"\n{len(tests)} tests were NOT RUN, none passed: {reason}.")
    _print("Set KUBECONFIG to the file of a cluster in which you may do everything (kind will do) and try again.")


if __name__ == "__main__":
    sys.exit(main())
