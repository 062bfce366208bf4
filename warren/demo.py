"""The scenarios of the demo: one order each, with its expected final state."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from warren.client import FINAL_STATES, ApiClient, OrderView
from warren.errors import ClientError

MAX_ATTEMPTS = 5  # orders of a customer who cancels too late
MAIL = {"email": "ann@customers.example"}
BOTH = {"email": "gayal@customers.example", "phone": "+94 11 234 5678"}


@dataclass(frozen=True)
class Scenario:
    """One order and its expected final state, as "STATE" or "STATE (reason)". The customer cancels it in the state
    `cancel_in`."""

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
        "an order that looks like fraud",
        {
            "orderId": "suspicious",
            "user": "eve",
            "items": [{"sku": "item9", "quantity": 20}],
            "express": True,
            "contact": {"email": "eve@mailinator.com"},
        },
        "CANCELLED (fraud)",
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
    """A scenario in progress."""

    scenario: Scenario
    order: OrderView
    path: list[str] = field(default_factory=list)
    cancelled: bool = False
    attempts: int = 1

    @property
    def final(self) -> bool:
        return self.order.state in FINAL_STATES

    @property
    def missed(self) -> bool:
        """The order was final before the customer could cancel it, or its parcel left before the cancellation."""
        too_late = not self.cancelled or self.order.state == "COMPLETED"
        return self.final and self.scenario.cancel_in is not None and too_late

    @property
    def as_expected(self) -> bool:
        return self.order.shown_state == self.scenario.expected


def place(client: ApiClient, scenario: Scenario) -> ScenarioRun:
    run = ScenarioRun(scenario, client.place(scenario.body))
    _note(run)
    return run


def follow(
    client: ApiClient, runs: list[ScenarioRun], seconds: float, *, check: Callable[[], None] = lambda: None
) -> None:
    """Poll every order until it is final, and cancel as the scenarios say. Ends after `seconds`, or by an error from
    `check`. A customer who cancels too late, as on a busy machine, places the order again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(run.final for run in runs):
        for run in runs:
            if run.scenario.cancel_in == run.order.state and not run.cancelled:
                _cancel(client, run)
            elif not run.final:
                run.order = client.find(str(run.order.id))
            _note(run)
            if run.missed and run.attempts < MAX_ATTEMPTS:
                _order_again(client, run)
        check()
        time.sleep(0.05)


def _cancel(client: ApiClient, run: ScenarioRun) -> None:
    try:
        run.order = client.cancel(run.order.id)
    except ClientError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        run.order = client.find(str(run.order.id))
    run.cancelled = True


def _order_again(client: ApiClient, run: ScenarioRun) -> None:
    run.attempts += 1
    body = run.scenario.body
    run.order = client.place({**body, "orderId": f"{body['orderId']}-{run.attempts}"})
    run.path, run.cancelled = [], False
    _note(run)


def _note(run: ScenarioRun) -> None:
    if not run.path or run.path[-1] != run.order.state:
        run.path.append(run.order.state)
