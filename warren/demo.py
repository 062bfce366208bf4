"""The orders of the demo: what each is meant to show, and how it must end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from warren.client import FINAL, ApiClient, OrderView
from warren.errors import ClientError

TRIES = 5  # orders of a customer who is too late to cancel
MAIL = {"email": "ann@customers.example"}
BOTH = {"email": "gayal@customers.example", "phone": "+94 11 234 5678"}


@dataclass(frozen=True)
class Scenario:
    """One order and its expected end, as "STATE" or "STATE (reason)". `cancel_in` is the state in which the
    customer changes their mind."""

    title: str
    body: dict[str, Any]
    expected: str
    cancel_in: str | None = None


SCENARIOS = (
    Scenario(
        "an ordinary order",
        {"orderId": "123", "user": "gayal", "items": ["item1", "item2"], "contact": BOTH},
        "COMPLETED",
    ),
    Scenario(
        "an express order",
        {"orderId": "express-1", "user": "bela", "items": ["espresso-beans"], "express": True},
        "COMPLETED",
    ),
    Scenario(
        "an article that is sold out",
        {"orderId": "too-late", "user": "ann", "items": ["mug", "sold-out"], "contact": MAIL},
        "CANCELLED (out_of_stock)",
    ),
    Scenario(
        "a card that is declined",
        {"orderId": "no-money", "user": "carl", "items": ["teapot"], "paymentToken": "tok_declined"},
        "CANCELLED (payment_failed)",
    ),
    Scenario(
        "a gateway that fails twice",
        {"orderId": "flaky", "user": "dora", "items": ["kettle"], "paymentToken": "tok_flaky"},
        "COMPLETED",
    ),
    Scenario(
        "a charge whose answer is lost",
        {"orderId": "lost", "user": "emil", "items": ["mug"], "paymentToken": "tok_lost_answer"},
        "COMPLETED",
    ),
    Scenario(
        "a customer who cancels at once",
        {"orderId": "oops", "user": "fay", "items": ["notebook"]},
        "CANCELLED (customer)",
        cancel_in="PENDING",
    ),
    Scenario(
        "a customer who cancels after paying",
        {"orderId": "regret", "user": "gus", "items": [{"sku": "french-press", "quantity": 2}]},
        "CANCELLED (customer)",
        cancel_in="PAID",
    ),
)


@dataclass
class ScenarioRun:
    """A scene under way."""

    scene: Scenario
    order: OrderView
    path: list[str] = field(default_factory=list)
    cancelled: bool = False
    tries: int = 1

    @property
    def over(self) -> bool:
        return self.order.state in FINAL

    @property
    def missed(self) -> bool:
        """The order ended before its customer, who looks at it now and then, could change their mind, or the parcel
        left while their word was on its way."""
        too_late = not self.cancelled or self.order.state == "COMPLETED"
        return self.over and self.scene.cancel_in is not None and too_late

    @property
    def as_expected(self) -> bool:
        return self.order.shown_state == self.scene.expected


def place(client: ApiClient, scene: Scenario) -> ScenarioRun:
    act = ScenarioRun(scene, client.place(scene.body))
    _note(act)
    return act


def follow(
    client: ApiClient, acts: list[ScenarioRun], seconds: float, *, check: Callable[[], None] = lambda: None
) -> None:
    """Watch every order until it is over, playing the customers' parts; gives up after `seconds`, or by an error that
    `check` raises. A customer who was too late to cancel, as on a busy machine, orders again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(act.over for act in acts):
        for act in acts:
            if act.scene.cancel_in == act.order.state and not act.cancelled:
                _cancel(client, act)
            elif not act.over:
                act.order = client.find(str(act.order.id))
            _note(act)
            if act.missed and act.tries < TRIES:
                _order_again(client, act)
        check()
        time.sleep(0.05)


def _cancel(client: ApiClient, act: ScenarioRun) -> None:
    try:
        act.order = client.cancel(act.order.id)
    except ClientError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        act.order = client.find(str(act.order.id))
    act.cancelled = True


def _order_again(client: ApiClient, act: ScenarioRun) -> None:
    act.tries += 1
    body = act.scene.body
    act.order = client.place({**body, "orderId": f"{body['orderId']}-{act.tries}"})
    act.path, act.cancelled = [], False
    _note(act)


def _note(act: ScenarioRun) -> None:
    if not act.path or act.path[-1] != act.order.state:
        act.path.append(act.order.state)
