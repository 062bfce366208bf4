"""A process that loses one of its servers is not ready; the others stay ready."""

import sys
import time

import httpx
import pytest

from faults.harness import BROKER, DATABASE, FaultHarness, eventually

NAME = "inventory"
PRODUCTION = {"FAULT_HEARTBEAT_SECONDS": "10", "FAULT_TIMEOUT_SECONDS": "0"}
RED_SECONDS = 10.0


def ready(harness: FaultHarness, name: str) -> bool:
    try:
        return httpx.get(f"{harness.metrics_url(name)}/readyz", timeout=RED_SECONDS).status_code == 200
    except httpx.ConnectError:
        return False  # it starts


@pytest.mark.parametrize("server", [BROKER, DATABASE])
def test_a_process_with_half_open_connections_is_not_ready(harness: FaultHarness, server: str) -> None:
    """Long before its timeouts, which are those of production, end the connections."""
    harness.restart_services(NAME, **PRODUCTION)
    eventually(lambda: ready(harness, NAME))
    harness.proxy(NAME, server).black_hole()
    began = time.monotonic()
    eventually(lambda: not ready(harness, NAME), RED_SECONDS, "still ready")
    sys.stdout.write(f"{NAME} without its {server}: not ready after {time.monotonic() - began:.1f} s\n")
    assert ready(harness, "payment")
    assert httpx.get(f"{harness.metrics_url(NAME)}/livez").text == "ok\n"
    harness.proxies.heal()
    eventually(lambda: ready(harness, NAME), 60, "not ready again")
    harness.restart_services(NAME)
