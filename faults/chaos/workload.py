"""The orders of a chaos run and their allowed outcomes: a pure function of the seed."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

COMPLETED = "COMPLETED"
PAYMENT_TIMEOUT = "CANCELLED (payment_timeout)"
"""Allowed for every order: a fault may always delay a payment past its deadline."""
SKUS = (*(f"item{number}" for number in range(1, 10)), "espresso-beans", "filter-coffee", "green-tea")
BY_MAIL = {"email": "chaos@customers.example"}
BY_BOTH = {"email": "chaos@customers.example", "phone": "+94 11 234 5678"}
PLENTY = 1_000_000


class CustomerProfile(msgspec.Struct, frozen=True):
    """A kind of customer. `outcomes` are the allowed ones besides PAYMENT_TIMEOUT."""

    name: str
    weight: int
    outcomes: tuple[str, ...] = (COMPLETED,)
    fields: dict[str, Any] = {}
    sku: str | None = None
    copies: int = 1
    """Concurrent requests, with one key."""
    cancels_within: float | None = None
    """Seconds after the response within which the customer cancels."""


CANCELLED = ("CANCELLED (customer)", COMPLETED)
PROFILES = (
    CustomerProfile("ordinary", 46),
    CustomerProfile("express", 8, fields={"express": True}),
    CustomerProfile("sends three requests at once", 8, copies=3),
    CustomerProfile("out of stock", 5, ("CANCELLED (out_of_stock)",), sku="sold-out"),
    CustomerProfile("last piece", 2, ("CANCELLED (out_of_stock)", COMPLETED), sku="last-piece"),
    CustomerProfile("scarce", 3, ("CANCELLED (out_of_stock)", COMPLETED), sku="espresso-machine"),
    CustomerProfile("declined", 6, ("CANCELLED (payment_failed)",), {"paymentToken": "tok_declined"}),
    CustomerProfile("gateway fails twice", 3, fields={"paymentToken": "tok_flaky"}),
    CustomerProfile("gateway's answer lost", 3, fields={"paymentToken": "tok_lost_answer"}),
    CustomerProfile("confirms payment later", 2, fields={"paymentToken": "tok_confirm"}),
    CustomerProfile("never pays", 1, (), {"paymentToken": "tok_abandoned"}),
    CustomerProfile("cancels at once", 6, CANCELLED, cancels_within=0.0),
    CustomerProfile("cancels soon", 5, CANCELLED, cancels_within=0.6),
    CustomerProfile("cancels late", 4, CANCELLED, cancels_within=5.0),
)


class PlannedOrder(msgspec.Struct, frozen=True):
    """One order that a customer places, `at` seconds after the start."""

    at: float
    profile: CustomerProfile
    key: str
    body: dict[str, Any]
    cancels_after: float | None
    seed: int

    @property
    def outcomes(self) -> tuple[str, ...]:
        return (*self.profile.outcomes, PAYMENT_TIMEOUT)


def workload(seed: int, seconds: float, rate: float) -> Iterator[PlannedOrder]:
    """Yield orders at random times, `rate` a second on average."""
    rng = random.Random(f"workload {seed}")  # noqa: S311 - must be repeatable
    at, number = 0.0, 0
    while (at := at + rng.expovariate(rate)) < seconds:
        number += 1
        (profile,) = rng.choices(PROFILES, weights=[profile.weight for profile in PROFILES])
        skus = [profile.sku] if profile.sku else rng.sample(SKUS, rng.choice((1, 1, 2, 3)))
        quantity = 1 if profile.sku else rng.randint(1, 3)
        body = {
            "user": f"customer-{rng.randrange(200)}",
            "orderId": f"chaos-{number}",
            "items": [{"sku": sku, "quantity": quantity} for sku in skus],
            **profile.fields,
        }
        if rng.random() < 0.3:
            body["contact"] = rng.choice((BY_MAIL, BY_BOTH))
        cancels_after = None if profile.cancels_within is None else rng.uniform(0, profile.cancels_within)
        yield PlannedOrder(at, profile, f"chaos-{seed}-{number}", body, cancels_after, rng.getrandbits(32))


def opening_stock() -> dict[str, int]:
    """Plenty of every article except those that must run out."""
    return dict.fromkeys(SKUS, PLENTY) | {"sold-out": 0, "last-piece": 1, "espresso-machine": 40}
