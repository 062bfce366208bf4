"""Rules that score an order. Each rule that applies adds points, with a reason that a person can read.

No single rule and no two of them flag an order: it takes a combination that honest orders do not show.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.fraud import AppliedRule, FraudFlagged
from services.shared.contracts.orders import CancelReason, OrderCancelRequested, OrderCreated

THROWAWAY_DOMAINS = frozenset(
    {"10minutemail.com", "discard.email", "guerrillamail.com", "mailinator.com", "trashmail.com", "yopmail.com"}
)
"""Mail domains whose addresses anyone can read, also those of their subdomains."""


class RuleLimits(msgspec.Struct, frozen=True):
    """The shop's limits; see FraudSettings."""

    threshold: int = 100
    high_value_cents: int = 100_000
    many_pieces: int = 100
    orders_per_hour: int = 20


class Assessment(msgspec.Struct, frozen=True):
    """The result of all rules for one order."""

    order_id: UUID
    reference: str | None
    customer: str
    rules: tuple[AppliedRule, ...]
    flagged: bool

    @property
    def score(self) -> int:
        return sum(rule.points for rule in self.rules)


class _RuleInput(NamedTuple):
    """The arguments of a rule. `earlier` counts the customer's other orders of the last hour."""

    order: OrderCreated
    earlier: int
    limits: RuleLimits

    @property
    def valuable(self) -> bool:
        return self.order.total_cents >= self.limits.high_value_cents

    @property
    def total(self) -> str:
        return f"{self.order.total_cents // 100}.{self.order.total_cents % 100:02d} {self.order.currency}"


def assess(order_id: UUID, reference: str | None, order: OrderCreated, earlier: int, limits: RuleLimits) -> Assessment:
    """Apply every rule. `earlier` is the number of orders that the customer placed in the hour before this one."""
    given = _RuleInput(order, earlier, limits)
    rules = tuple(
        AppliedRule(name, points, reason) for name, points, rule in _RULES if (reason := rule(given)) is not None
    )
    score = sum(rule.points for rule in rules)
    return Assessment(order_id, reference, order.customer, rules, score >= limits.threshold)


def announcements(assessment: Assessment, limits: RuleLimits) -> list[EventData]:
    """Return the events that follow from an assessment: none, or the flag and the request to cancel."""
    if not assessment.flagged:
        return []
    flag = FraudFlagged(
        customer=assessment.customer,
        score=assessment.score,
        threshold=limits.threshold,
        rules=list(assessment.rules),
    )
    return [flag, OrderCancelRequested(reason=CancelReason.FRAUD)]


def _high_value(given: _RuleInput) -> str | None:
    return f"the order costs {given.total}" if given.valuable else None


def _very_high_value(given: _RuleInput) -> str | None:
    limit = 10 * given.limits.high_value_cents
    return (
        f"{given.total} is at least ten times the limit of a valuable order"
        if given.order.total_cents >= limit
        else None
    )


def _many_pieces(given: _RuleInput) -> str | None:
    most = max(given.order.lines, key=lambda line: line.quantity, default=None)
    if most is None or most.quantity < given.limits.many_pieces:
        return None
    return f"{most.quantity} pieces of {most.sku}"


def _valuable_express(given: _RuleInput) -> str | None:
    return "a valuable order that must leave at once" if given.valuable and given.order.express else None


def _throwaway_mail(given: _RuleInput) -> str | None:
    domain = (given.order.contact.email or "").rpartition("@")[2].lower()
    found = any(f".{domain}".endswith(f".{each}") for each in THROWAWAY_DOMAINS)
    return f"mail to {domain} can be read by anyone" if found else None


def _many_orders(given: _RuleInput) -> str | None:
    limit = given.limits.orders_per_hour
    return f"at least {limit} other orders within the last hour" if given.earlier >= limit else None


_RULES: tuple[tuple[str, int, Callable[[_RuleInput], str | None]], ...] = (
    ("high_value", 40, _high_value),
    ("very_high_value", 20, _very_high_value),
    ("many_pieces", 20, _many_pieces),
    ("valuable_express", 20, _valuable_express),
    ("throwaway_mail", 50, _throwaway_mail),
    ("many_orders", 15, _many_orders),
)
"""Name, points and condition of each rule. The condition returns the reason, or None if the rule does not apply."""
