"""Every order is one connected trace, received over OTLP, whatever happens to it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faults.harness import FaultHarness, eventually
from tests.faults.customers import Customers
from tests.faults.order_trace import OrderTrace, wait_for_trace
from tests.system import test_redrive


def processed(name: str) -> Any:
    """Whether each queue has processed the last event of an order."""
    return lambda trace: len(trace.named(f"process order.exchange:{name}:audit.queue")) == 1


@pytest.fixture
def subscribers(harness: FaultHarness) -> dict[str, list[str]]:
    return harness.subscribers()


def test_an_order_that_completes(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]
) -> None:
    order_id = customers.order("item1")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, processed("order.completed"))
    print(trace.text())
    trace.check(subscribers)


def test_an_order_that_is_out_of_stock(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]
) -> None:
    order_id = customers.order("sold-out")
    harness.wait_for_state(order_id, "CANCELLED")
    trace = wait_for_trace(harness, order_id, processed("order.cancelled"))
    print(trace.text())
    trace.check(subscribers)


def test_a_retried_step(harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]) -> None:
    order_id = customers.order("item1", paymentToken="tok_flaky")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, processed("order.completed"))
    print(trace.text())
    trace.check(subscribers)
