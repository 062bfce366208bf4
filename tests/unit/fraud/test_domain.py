"""The rules of the fraud service."""

import random
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.fraud.domain import Assessment, RuleLimits, announcements, assess
from services.shared.contracts.fraud import FraudFlagged
from services.shared.contracts.orders import CancelReason, Contact, Line, OrderCancelRequested, OrderCreated

LIMITS = RuleLimits()
SEED = random.randrange(2**32)
MAIL = Contact(email="ann@customers.example")
THROWAWAY = Contact(email="ann@Mailinator.com")


def order(total: int = 990, quantity: int = 1, *, express: bool = False, contact: Contact = MAIL) -> OrderCreated:
    return OrderCreated(
        customer="ann",
        lines=[Line("mug", 1), Line("kettle", quantity)],
        total_cents=total,
        currency="EUR",
        payment_token="tok_ok",
        express=express,
        contact=contact,
    )


def assessed(placed: OrderCreated, earlier: int = 0, limits: RuleLimits = LIMITS) -> Assessment:
    return assess(uuid4(), "A-1", placed, earlier, limits)


@pytest.mark.parametrize(
    ("placed", "earlier", "rules"),
    [
        (order(), 0, []),
        (order(99_999), 19, []),
        (order(100_000), 0, ["high_value"]),
        (order(1_000_000), 0, ["high_value", "very_high_value"]),
        (order(quantity=100), 0, ["many_pieces"]),
        (order(express=True), 0, []),
        (order(100_000, express=True), 0, ["high_value", "valuable_express"]),
        (order(contact=THROWAWAY), 0, ["throwaway_mail"]),
        (order(contact=Contact(email="ann@any.mailinator.com")), 0, ["throwaway_mail"]),
        (order(contact=Contact(email="ann@notmailinator.com")), 0, []),
        (order(contact=Contact(email="ann@mailinator.com.example")), 0, []),
        (order(contact=Contact(phone="+94 11 234 5678")), 0, []),
        (order(), 20, ["many_orders"]),
    ],
)
def test_each_rule_applies_from_its_limit_on(placed: OrderCreated, earlier: int, rules: list[str]) -> None:
    assert [rule.name for rule in assessed(placed, earlier).rules] == rules


def test_an_ordinary_valuable_order_is_not_flagged() -> None:
    """A company that buys much, often, with a mail address of its own."""
    result = assessed(order(5_000_000, 500), 100)
    assert not result.flagged
    assert announcements(result, LIMITS) == []


def test_a_flagged_order_is_explained_and_its_cancellation_requested() -> None:
    result = assessed(order(123_400, express=True, contact=THROWAWAY))
    flag, request = announcements(result, LIMITS)
    assert isinstance(flag, FraudFlagged)
    assert (flag.customer, flag.score, flag.threshold) == ("ann", 110, 100)
    assert [rule.reason for rule in flag.rules] == [
        "the order costs 1234.00 EUR",
        "a valuable order that must leave at once",
        "mail to mailinator.com can be read by anyone",
    ]
    assert request == OrderCancelRequested(reason=CancelReason.FRAUD)


def test_the_score_is_the_sum_of_the_rules_and_decides_alone() -> None:
    rng = random.Random(SEED)
    flagged = 0
    for _ in range(2_000):
        placed: dict[str, Any] = {"express": rng.random() < 0.5, "contact": rng.choice([MAIL, THROWAWAY, Contact()])}
        result = assessed(
            order(rng.choice([1, 99_999, 100_000, 10**7]), rng.randint(1, 200), **placed), rng.randint(0, 40)
        )
        assert result.score == sum(rule.points for rule in result.rules)
        assert result.flagged == (result.score >= LIMITS.threshold), f"seed {SEED}"
        flagged += result.flagged
        lower = msgspec.structs.replace(LIMITS, threshold=1)
        assert bool(result.rules) == (result.score > 0) == bool(announcements(assessed_again(result), lower))
    assert 0 < flagged < 2_000


def assessed_again(result: Assessment) -> Assessment:
    """The same rules under a threshold of 1."""
    return msgspec.structs.replace(result, flagged=result.score >= 1)
