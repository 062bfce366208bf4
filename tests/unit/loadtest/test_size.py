"""What size costs: how pairs are judged, and that no table that grows is left out."""

import re
from pathlib import Path

import pytest

from loadtest.orders.course import Course
from loadtest.size import history
from loadtest.size.pairs import Pair, cost
from services.migrate import SCHEMAS
from services.shared.chassis.migrations import MESSAGING_MIGRATIONS

NOT_GROWING = {
    "failures", "retention",  # of the library; by failures alone, and one row for each walk
    "stock", "restocks",  # by articles and by deliveries of goods
    "waiting",  # news that is not told yet
    "contradictions",  # none
}  # fmt: skip


def course(services: float, postgres: float | None, orders: int = 1000) -> Course:
    return Course(
        orders=orders,
        seconds=1.0,
        placing_seconds=1.0,
        service_cpu={"order-api": services / 2, "audit": services / 2},
        server_cpu={"PostgreSQL": postgres, "RabbitMQ": None if postgres is None else 1.0},
        generator_cpu=9.0,
        put_off=0,
    )


def test_a_pair_compares_what_an_order_costs() -> None:
    assert cost(course(4.0, 3.0)) == pytest.approx(8.0)
    assert cost(course(4.0, 3.0, orders=500)) == pytest.approx(16.0)
    assert cost(course(4.0, None)) == pytest.approx(4.0), "servers that are not measured count on neither side"
    assert Pair(empty=course(4.0, 3.0), full=course(4.0, 3.8)).ratio == pytest.approx(1.1)


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
