"""Decides on a batch of placements in one transaction: what is new, what is a repetition, what contradicts.

What this transaction cannot decide (a placement equal in key or number to one before it in the same batch, or to
one that another replica is storing at this moment) it leaves open. It is decided in the next one, by looking.

Everybody inserts keys before orders and each in sorted order, so two batches cannot wait for each other in a
circle.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any
from uuid import UUID

import msgspec

from services.order.answers import COLUMNS, OrderAnswer, answer_of, as_placed
from services.order.domain import State
from services.order.requests import Placement
from services.shared.contracts.orders import EXPRESS_PRIORITY, Line, OrderCreated
from warren_messaging.transaction import Transaction


class Refusal(Enum):
    KEY_REUSED = auto()
    """The Idempotency-Key came with another body before."""
    REFERENCE_TAKEN = auto()
    """The customer has another order with this number."""


Outcome = OrderAnswer | Refusal | None
"""None: not decided yet."""


class _Known(msgspec.Struct, frozen=True):
    """What is stored under a name, and what the request that stored it said."""

    fingerprint: bytes
    answer: OrderAnswer

    def answer_to(self, placement: Placement) -> OrderAnswer | None:
        """None when the placement says something else."""
        return self.answer if self.fingerprint == placement.fingerprint else None


_Names = dict[tuple[str, str | None], _Known]

_OF_ORDER = ", ".join(f"o.{name.strip()}" for name in COLUMNS.split(","))


class Placements(Transaction):
    async def decide(self, placements: Sequence[Placement], deadline_seconds: float) -> list[Outcome]:
        """One outcome for each placement; new orders are stored and announced."""
        keys, numbers = await self._known(placements)
        outcomes: dict[UUID, Outcome] = {}
        claims: list[tuple[Placement, OrderAnswer | None]] = []
        taken: set[tuple[str, str, str]] = set()
        for each in placements:
            by_key = keys.get((each.customer, each.key))
            by_number = numbers.get((each.customer, each.reference))
            if by_key is not None:
                outcomes[each.id] = by_key.answer_to(each) or Refusal.KEY_REUSED
            elif by_number is not None and by_number.answer_to(each) is None:
                outcomes[each.id] = Refusal.REFERENCE_TAKEN
            elif by_number is not None and each.key is None:
                outcomes[each.id] = by_number.answer
            elif taken.isdisjoint(names := _names(each, known=by_number is not None)):
                taken.update(names)
                claims.append((each, None if by_number is None else by_number.answer))
        won = await self._claim_keys(claims)
        fresh: list[Placement] = []
        for each, known in claims:
            if each.key is None or (each.customer, each.key) in won:
                if known is None:
                    fresh.append(each)
                else:
                    outcomes[each.id] = known
        outcomes.update(await self._store(fresh, deadline_seconds))
        return [outcomes.get(each.id) for each in placements]

    async def _known(self, placements: Sequence[Placement]) -> tuple[_Names, _Names]:
        """What is stored already, by (customer, key) and by (customer, reference)."""
        keys: _Names = {}
        numbers: _Names = {}
        if wanted := sorted({(each.customer, each.key) for each in placements if each.key is not None}):
            for row in await self.connection.fetch(
                f"SELECT k.key, k.fingerprint AS said, {_OF_ORDER} FROM unnest($1::text[], $2::text[])"  # noqa: S608
                " AS wanted (customer, key) JOIN idempotency_keys k USING (customer, key)"
                " JOIN orders o ON o.id = k.order_id",
                *_columns(wanted),
            ):
                keys[row["customer"], row["key"]] = _Known(row["said"], as_placed(answer_of(row)))
        if wanted := sorted({(each.customer, each.reference) for each in placements if each.reference is not None}):
            for row in await self.connection.fetch(
                f"SELECT o.fingerprint AS said, {_OF_ORDER} FROM unnest($1::text[], $2::text[])"  # noqa: S608
                " AS wanted (customer, reference) JOIN orders o USING (customer, reference)",
                *_columns(wanted),
            ):
                numbers[row["customer"], row["reference"]] = _Known(row["said"], as_placed(answer_of(row)))
        return keys, numbers

    async def _claim_keys(self, claims: Sequence[tuple[Placement, OrderAnswer | None]]) -> set[tuple[str, str]]:
        """Store the keys of these placements, for the known order or the one to come; returns those that nobody
        else has stored meanwhile."""
        rows = [
            (each.customer, each.key, each.fingerprint, each.id if known is None else known.id)
            for each, known in claims
            if each.key is not None
        ]
        if not rows:
            return set()
        won = await self.connection.fetch(
            "INSERT INTO idempotency_keys (customer, key, fingerprint, order_id)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[])"
            " ON CONFLICT DO NOTHING RETURNING customer, key",
            *_columns(sorted(rows)),
        )
        return {(row[0], row[1]) for row in won}

    async def _store(self, fresh: Sequence[Placement], deadline_seconds: float) -> dict[UUID, OrderAnswer]:
        if not fresh:
            return {}
        ordered = sorted(fresh, key=lambda each: (each.customer, each.reference or "", each.id))
        rows = await self.connection.fetch(
            "INSERT INTO orders (id, customer, reference, fingerprint, lines, total_cents, currency, express, deadline)"
            " SELECT id, customer, reference, fingerprint, lines::jsonb, total_cents, currency, express,"
            " now() + make_interval(secs => $9) FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[],"
            " $5::text[], $6::bigint[], $7::text[], $8::bool[]) AS new (id, customer, reference, fingerprint, lines,"
            " total_cents, currency, express) ON CONFLICT (customer, reference) WHERE reference IS NOT NULL DO NOTHING"
            " RETURNING id, created_at",
            [each.id for each in ordered],
            [each.customer for each in ordered],
            [each.reference for each in ordered],
            [each.fingerprint for each in ordered],
            [msgspec.json.encode(each.lines).decode() for each in ordered],
            [each.total_cents for each in ordered],
            [each.currency for each in ordered],
            [each.express for each in ordered],
            deadline_seconds,
        )
        created = {row["id"]: row["created_at"] for row in rows}
        if lost := [(each.customer, each.key) for each in ordered if each.id not in created and each.key is not None]:
            # Another replica stored an order with that number a moment ago: the key must not point at nothing.
            await self.connection.execute(
                "DELETE FROM idempotency_keys k USING unnest($1::text[], $2::text[]) AS lost (customer, key)"
                " WHERE k.customer = lost.customer AND k.key = lost.key",
                *_columns(lost),
            )
        stored = {}
        for each in fresh:
            if each.id in created:
                stored[each.id] = _answer(each, created[each.id])
                self._announce(each)
        return stored

    def _announce(self, placement: Placement) -> None:
        self.announce(
            OrderCreated(
                customer=placement.customer,
                lines=[Line(line.sku, line.quantity) for line in placement.lines],
                total_cents=placement.total_cents,
                currency=placement.currency,
                payment_token=placement.payment_token,
                express=placement.express,
                contact=placement.contact,
            ),
            subject=placement.id,
            reference=placement.reference,
            priority=EXPRESS_PRIORITY if placement.express else None,
            traceparent=placement.traceparent,
        )


def _names(placement: Placement, *, known: bool) -> set[tuple[str, str, str]]:
    """Under what a placement must be the only one of its batch: the number of a known order is no longer one."""
    names = set()
    if placement.key is not None:
        names.add(("key", placement.customer, placement.key))
    if placement.reference is not None and not known:
        names.add(("reference", placement.customer, placement.reference))
    return names


def _answer(placement: Placement, created_at: Any) -> OrderAnswer:
    return OrderAnswer(
        id=placement.id,
        order_id=placement.reference,
        customer=placement.customer,
        state=State.PENDING,
        reason=None,
        lines=placement.lines,
        total_cents=placement.total_cents,
        currency=placement.currency,
        express=placement.express,
        tracking=None,
        version=1,
        created_at=created_at,
        updated_at=created_at,
    )


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
