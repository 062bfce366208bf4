"""The payment gateway is unavailable for 20 seconds while orders are placed."""

import time
from urllib.request import urlopen

from faults.harness import DATABASE, FaultHarness, eventually
from services.payment.gateway import GatewayError
from tests.faults.customers import Customers

FAILURES = 5
OUTAGE_SECONDS = 20.0


def test_a_gateway_that_is_unavailable_uses_up_no_attempts(harness: FaultHarness, customers: Customers) -> None:
    """Only the calls that open the circuit breaker are recorded as failures; then payment waits, and stays ready."""
    gateway = harness.proxy("payment to its gateway", DATABASE)
    settings = harness.process("payment").env
    before = gateway_failures(harness)
    harness.restart_services(
        "payment",
        WARREN_GATEWAY_DATABASE_URL=f"postgresql://gateway@127.0.0.1:{gateway.port}/warren",
        WARREN_BREAKER_FAILURES=str(FAILURES),
        WARREN_BREAKER_OPEN_SECONDS="2",
        WARREN_BREAKER_MAX_OPEN_SECONDS="4",
    )
    monitoring = f"http://127.0.0.1:{settings['WARREN_METRICS_PORT']}"
    eventually(lambda: is_ready(monitoring), 60, "payment is not ready")
    gateway.refuse()
    until = time.monotonic() + OUTAGE_SECONDS
    with customers.ordering(40, seconds=OUTAGE_SECONDS / 2, cancelling=0) as placed:
        eventually(lambda: "open, next call in" in page(f"{monitoring}/readyz?verbose"))
        assert is_ready(monitoring), "an unavailable gateway is no reason to restart or replace the process"
        assert 'warren_circuit_breaker_state{breaker="payment gateway"} 2.0' in page(f"{monitoring}/metrics")
    time.sleep(max(until - time.monotonic(), 0))
    assert gateway_failures(harness) - before == FAILURES
    gateway.heal()
    eventually(harness.is_idle, 60, "some order is not final")
    assert not [state for state in harness.order_states(placed).values() if "payment_timeout" in state]
    assert gateway_failures(harness) - before == FAILURES


def gateway_failures(harness: FaultHarness) -> int:
    """The attempts that failed because the gateway was unavailable."""
    condition = f"{GatewayError.__name__}:%"
    return int(
        harness.sql("SELECT coalesce(sum(attempts), 0) FROM payment.failures WHERE reason LIKE $1", condition)[0][0]
    )


def is_ready(monitoring: str) -> bool:
    return page(f"{monitoring}/readyz").startswith("ok")


def page(url: str) -> str:
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310 - a port of this machine
            return str(response.read().decode())
    except OSError:
        return ""
