"""What customers will ask for, and how it may end: a pure function of the seed."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

COMPLETED = "COMPLETED"
TOO_LATE = "CANCELLED (payment_timeout)"
"""A fault may always hold up a payment for longer than the customer may take."""
SKUS = (*(f"item{number}" for number in range(1, 10)), "espresso-beans", "filter-coffee", "green-tea")
BY_MAIL = {"email": "chaos@customers.example"}
BY_BOTH = {"email": "chaos@customers.example", "phone": "+94 11 234 5678"}
MANY = 1_000_000


class Manner(msgspec.Struct, frozen=True):
    """A kind of customer. `ends` are the ends that the order may have besides TOO_LATE."""

    name: str
    weight: int
    ends: tuple[str, ...] = (COMPLETED,)
    fields: dict[str, Any] = {}
    sku: str | None = None
    copies: int = 1
    """How many times the request is sent at the same time, with one key."""
    cancels_within: float | None = None
    """Seconds after the answer, at most, after which the customer thinks again."""


CANCELLED = ("CANCELLED (customer)", COMPLETED)
MANNERS = (
    Manner("ordinary", 46),
    Manner("express", 8, fields={"express": True}),
    Manner("asks three times at once", 8, copies=3),
    Manner("out of stock", 5, ("CANCELLED (out_of_stock)",), sku="sold-out"),
    Manner("last piece", 2, ("CANCELLED (out_of_stock)", COMPLETED), sku="last-piece"),
    Manner("scarce", 3, ("CANCELLED (out_of_stock)", COMPLETED), sku="espresso-machine"),
    Manner("declined", 6, ("CANCELLED (payment_failed)",), {"paymentToken": "tok_declined"}),
    Manner("gateway fails twice", 3, fields={"paymentToken": "tok_flaky"}),
    Manner("gateway's answer lost", 3, fields={"paymentToken": "tok_lost_answer"}),
    Manner("confirms payment later", 2, fields={"paymentToken": "tok_confirm"}),
    Manner("never pays", 1, (), {"paymentToken": "tok_abandoned"}),
    Manner("cancels at once", 6, CANCELLED, cancels_within=0.0),
    Manner("cancels soon", 5, CANCELLED, cancels_within=0.6),
    Manner("cancels late", 4, CANCELLED, cancels_within=5.0),
)


class Wish(msgspec.Struct, frozen=True):
    """One order that a customer will place, `at` seconds after the beginning."""

    at: float
    manner: Manner
    key: str
    body: dict[str, Any]
    cancels_after: float | None
    dice: int

    @property
    def ends(self) -> tuple[str, ...]:
        return (*self.manner.ends, TOO_LATE)


def wishes(seed: int, seconds: float, rate: float) -> Iterator[Wish]:
    """`rate` orders a second on average, at random moments."""
    chance = random.Random(f"wishes {seed}")  # noqa: S311 - must be repeatable
    at, number = 0.0, 0
    while (at := at + chance.expovariate(rate)) < seconds:
        number += 1
        (manner,) = chance.choices(MANNERS, weights=[manner.weight for manner in MANNERS])
        chosen = [manner.sku] if manner.sku else chance.sample(SKUS, chance.choice((1, 1, 2, 3)))
        pieces = 1 if manner.sku else chance.randint(1, 3)
        body = {
            "user": f"customer-{chance.randrange(200)}",
            "orderId": f"chaos-{number}",
            "items": [{"sku": sku, "quantity": pieces} for sku in chosen],
            **manner.fields,
        }
        if chance.random() < 0.3:
            body["contact"] = chance.choice((BY_MAIL, BY_BOTH))
        after = None if manner.cancels_within is None else chance.uniform(0, manner.cancels_within)
        yield Wish(at, manner, f"chaos-{seed}-{number}", body, after, chance.getrandbits(32))


def opening_stock() -> dict[str, int]:
    """Enough of everything but of what is to run out."""
    return dict.fromkeys(SKUS, MANY) | {"sold-out": 0, "last-piece": 1, "espresso-machine": 40}
