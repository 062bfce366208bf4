"""The workload of a chaos run, and the ledger, which compares responses with the final states of orders."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.chaos.ledger import DUPLICATE, ClientLedger
from faults.chaos.workload import PAYMENT_TIMEOUT, PROFILES, PlannedOrder, opening_stock, workload

BY_NAME = {profile.name: profile for profile in PROFILES}
FIRST_ID, SECOND_ID = uuid.uuid4(), uuid.uuid4()


def planned(key: str = "a", profile: str = "ordinary") -> PlannedOrder:
    return PlannedOrder(0.0, BY_NAME[profile], key, {}, None, 1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ClientLedger]:
    ledger = ClientLedger(tmp_path / "accepted.jsonl")
    yield ledger
    ledger.close()


def accept(ledger: ClientLedger, order: PlannedOrder, *order_ids: uuid.UUID) -> None:
    """Record one order, and for each id a response that accepts it."""
    ledger.place(order)
    for requests, order_id in enumerate(order_ids, start=1):
        ledger.accept(order, order_id, 1.0, requests)


def verdicts(ledger: ClientLedger, found: dict[uuid.UUID, str]) -> list[bool]:
    """Return the results of the three checks: keys, outcomes, responses."""
    checks = ledger.check(found)
    assert all(check.detail for check in checks)
    return [check.held for check in checks]


def test_a_seed_determines_the_workload() -> None:
    assert list(workload(3, 20, 12)) == list(workload(3, 20, 12))
    assert list(workload(3, 20, 12)) != list(workload(4, 20, 12))


def test_a_workload_of_ten_minutes_has_thousands_of_orders_and_every_profile() -> None:
    orders = list(workload(1, 600, 12))
    assert len(orders) > 6500
    assert {each.profile.name for each in orders} == set(BY_NAME)
    assert len({each.key for each in orders}) == len(orders)
    assert {item["sku"] for each in orders for item in each.body["items"]} <= set(opening_stock())


def test_outcomes_that_the_profile_allows_are_correct(ledger: ClientLedger, tmp_path: Path) -> None:
    accept(ledger, planned("a"), FIRST_ID)
    accept(ledger, planned("b", "declined"), SECOND_ID)
    assert verdicts(ledger, {FIRST_ID: "COMPLETED", SECOND_ID: "CANCELLED (payment_failed)"}) == [True, True, True]
    assert verdicts(ledger, {FIRST_ID: PAYMENT_TIMEOUT, SECOND_ID: PAYMENT_TIMEOUT}) == [True, True, True]
    assert (tmp_path / "accepted.jsonl").read_text().count("\n") == 2


def test_two_orders_for_one_key_are_wrong(ledger: ClientLedger) -> None:
    accept(ledger, planned(), FIRST_ID, SECOND_ID)
    assert verdicts(ledger, {FIRST_ID: "COMPLETED", SECOND_ID: "COMPLETED"})[0] is False


def test_a_duplicate_request_with_the_same_response_is_correct_and_counted(ledger: ClientLedger) -> None:
    accept(ledger, planned(), FIRST_ID, FIRST_ID)
    assert verdicts(ledger, {FIRST_ID: "COMPLETED"}) == [True, True, True]
    assert ledger.counts[DUPLICATE] == 1


@pytest.mark.parametrize(
    ("profile", "outcome"),
    [
        ("ordinary", "CANCELLED (customer)"),
        ("ordinary", "CANCELLED (out_of_stock)"),
        ("declined", "COMPLETED"),
        ("out of stock", "COMPLETED"),
        ("never pays", "COMPLETED"),
        ("cancels at once", "CANCELLED (payment_failed)"),
        ("ordinary", "PENDING"),
    ],
)
def test_an_outcome_that_the_profile_does_not_allow_is_wrong(ledger: ClientLedger, profile: str, outcome: str) -> None:
    accept(ledger, planned(profile=profile), FIRST_ID)
    assert verdicts(ledger, {FIRST_ID: outcome}) == [True, False, True]


def test_lost_and_unknown_orders_are_wrong(ledger: ClientLedger) -> None:
    accept(ledger, planned(), FIRST_ID)
    assert verdicts(ledger, {}) == [True, False, True]
    assert verdicts(ledger, {FIRST_ID: "COMPLETED", SECOND_ID: "COMPLETED"}) == [False, True, True]


def test_an_order_without_an_accepting_response_is_wrong(ledger: ClientLedger) -> None:
    ledger.place(planned())
    assert verdicts(ledger, {}) == [False, True, True]


def test_an_unexpected_response_is_wrong(ledger: ClientLedger) -> None:
    ledger.unexpected.append("500 at 3.0 s for /orders")
    assert verdicts(ledger, {}) == [True, True, False]
