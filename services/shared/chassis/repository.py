"""Parts of all `store.py` modules: a base class of repositories, and the retention rule of finished orders."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from services.shared.contracts import EventData
from warren_messaging.postgres.retention import NO_PENDING_MESSAGES, RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction


class Aggregate(Protocol):
    """The state that a service stores about one order; immutable."""

    @property
    def order_id(self) -> UUID: ...


A = TypeVar("A", bound=Aggregate)


class Repository(Transaction, Generic[A]):
    """Aggregates by order id. A subclass locks and loads rows in `load`, and writes `changed` in `save`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._stored: dict[UUID, A] = {}
        self._current: dict[UUID, A] = {}

    def get(self, order_id: UUID) -> A:
        """A loaded aggregate as it is now."""
        return self._current[order_id]

    def put(self, aggregate: A) -> None:
        self._current[aggregate.order_id] = aggregate

    def apply(self, decision: tuple[A, list[EventData]]) -> list[EventData]:
        """Puts the aggregate of a decision and returns its events."""
        aggregate, events = decision
        self.put(aggregate)
        return events

    def add_loaded(self, aggregates: Iterable[A]) -> None:
        loaded = {each.order_id: each for each in aggregates}
        self._stored |= loaded
        self._current |= loaded

    @property
    def changed(self) -> list[A]:
        """The aggregates that differ from their rows, by order id."""
        return [each for key, each in sorted(self._current.items()) if each != self._stored.get(key)]


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Transposes rows, for statements that take each column as an array (`unnest`)."""
    return [list(column) for column in zip(*rows, strict=True)]


def finished_orders_rule(
    table: str, finished: str, history_days: int, *, changed_at: str = "changed_at", key: str = "order_id"
) -> list[RetentionRule]:
    """Removes the rows of orders whose last change is older than `history_days`; 0 keeps them for ever.

    `finished` is an SQL condition on the row `t`. Rows stay while a message about the order may still be processed.
    """
    old = f"{finished} AND t.{changed_at} < now() - make_interval(days => $1)"
    condition = f"{old} AND {NO_PENDING_MESSAGES.format(subject=f't.{key}')}"
    return [by_age(table, condition, history_days, subject=key)] if history_days else []
