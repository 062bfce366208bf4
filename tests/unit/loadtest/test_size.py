"""Pairs of runs are compared by CPU, and every table that grows is filled."""

import re
from pathlib import Path

import pytest

from loadtest.orders.run import OrderRun
from loadtest.size import history
from loadtest.size.pairs import SizePair
from services.migrate import SCHEMAS
from services.shared.chassis.migrations import MESSAGING_MIGRATIONS

NOT_GROWING = {
    "failures", "retention", "rate_limits",  # of the library; rows for failures, retention rules and rate limits
    "stock", "restocks",  # rows for articles, and for deliveries of goods
    "waiting",  # notifications that wait
    "scheduled",  # messages that are due later
    "contradictions",  # rows for events that contradict an earlier one
}  # fmt: skip


def order_run(services: float, postgres: float | None, orders: int = 1000) -> OrderRun:
    return OrderRun(
        orders=orders,
        seconds=1.0,
        placing_seconds=1.0,
        service_cpu={"order-api": services / 2, "audit": services / 2},
        server_cpu={"PostgreSQL": postgres, "RabbitMQ": None if postgres is None else 1.0},
        generator_cpu=9.0,
        unavailable=0,
    )


def test_a_pair_compares_the_cost_of_an_order() -> None:
    assert order_run(4.0, 3.0).per_thousand == pytest.approx(8.0)
    assert order_run(4.0, 3.0, orders=500).per_thousand == pytest.approx(16.0)
    assert order_run(4.0, None).per_thousand == pytest.approx(4.0), "servers that are not measured do not count"
    assert SizePair(empty=order_run(4.0, 3.0), full=order_run(4.0, 3.8)).ratio == pytest.approx(1.1)


def created(folder: Path) -> set[str]:
    """Tables that the migrations of a folder create."""
    files = [file.read_text().split("-- migrate:down")[0] for file in folder.glob("*.sql")]
    return {table for text in files for table in re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE)}


def test_every_table_that_grows_is_filled() -> None:
    """A service without tables in the history is left out as a whole."""
    filled = {tuple(name.replace('"', "").split(".")) for name in history.tables()}
    library = created(MESSAGING_MIGRATIONS)
    services = {schema for schema, table in filled if table not in library}
    grown = {table for service in services for _, folder in SCHEMAS[service].steps for table in created(folder)}
    assert {table for _, table in filled} == grown - NOT_GROWING
