"""The transaction that decides a batch of placements: each is new, a repetition, or in conflict with a stored order.

Some placements stay undecided: those with the same idempotency key or reference as an earlier one in the batch, or as
one that another replica is storing at the same time. The next transaction decides them, when the other is committed.

Every transaction inserts keys first and orders second, each in sorted order, so two batches cannot deadlock.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.order.errors import IdempotencyKeyReused, OrderError, ReferenceTaken
from services.order.queries import COLUMNS, response_of
from services.order.requests import Placement
from services.order.responses import OrderResponse
from services.shared.chassis.repository import columns
from services.shared.contracts.orders import EXPRESS_PRIORITY, Line, OrderCreated, OrderPaymentReminder
from warren_messaging.transaction import Transaction

PlacementResult = OrderResponse | OrderError | None
"""None: not decided yet."""


class PaymentTerms(msgspec.Struct, frozen=True):
    """Times in seconds, from the placement."""

    deadline_seconds: float
    """An order that is unpaid then is cancelled."""
    reminder_seconds: float = 0
    """The customer of an order that is unpaid then is reminded; 0, or not before the deadline: no reminder."""

    @property
    def reminder(self) -> timedelta | None:
        return timedelta(seconds=self.reminder_seconds) if 0 < self.reminder_seconds < self.deadline_seconds else None


class _Stored(msgspec.Struct, frozen=True):
    """An order as it was placed, and the fingerprint of the request for it."""

    fingerprint: bytes
    response: OrderResponse

    def matches(self, placement: Placement) -> bool:
        return self.fingerprint == placement.fingerprint


_StoredByName = dict[tuple[str, str | None], _Stored]
"""By customer and idempotency key, or by customer and reference."""

_ORDER_COLUMNS = ", ".join(f"o.{name.strip()}" for name in COLUMNS.split(","))


class PlacementTransaction(Transaction):
    async def decide(self, placements: Sequence[Placement], terms: PaymentTerms) -> list[PlacementResult]:
        """Returns one result for each placement. Stores new orders, announces `order.created`, schedules reminders."""
        by_keys, by_references = await self._load(placements)
        results: dict[UUID, PlacementResult] = {}
        claims: list[tuple[Placement, OrderResponse | None]] = []
        names: set[tuple[str, str, str]] = set()
        for each in placements:
            by_key = by_keys.get((each.customer, each.key))
            by_reference = by_references.get((each.customer, each.reference))
            if by_key is not None:
                results[each.order_id] = by_key.response if by_key.matches(each) else _key_reused()
            elif by_reference is not None and not by_reference.matches(each):
                results[each.order_id] = ReferenceTaken(f"There is another order with orderId {each.reference!r}.")
            elif by_reference is not None and each.key is None:
                results[each.order_id] = by_reference.response
            elif names.isdisjoint(own := _unique_names(each, is_stored=by_reference is not None)):
                names.update(own)
                claims.append((each, None if by_reference is None else by_reference.response))
        claimed = await self._claim_keys(claims)
        new: list[Placement] = []
        for each, stored in claims:
            if each.key is None or (each.customer, each.key) in claimed:
                if stored is None:
                    new.append(each)
                else:
                    results[each.order_id] = stored
        results.update(await self._store(new, terms))
        return [results.get(each.order_id) for each in placements]

    async def _load(self, placements: Sequence[Placement]) -> tuple[_StoredByName, _StoredByName]:
        by_keys: _StoredByName = {}
        by_references: _StoredByName = {}
        if wanted := sorted({(each.customer, each.key) for each in placements if each.key is not None}):
            for row in await self.connection.fetch(
                f"SELECT k.key, k.fingerprint AS request, {_ORDER_COLUMNS} FROM unnest($1::text[], $2::text[])"  # noqa: S608
                " AS wanted (customer, key) JOIN idempotency_keys k USING (customer, key)"
                " JOIN orders o ON o.id = k.order_id",
                *columns(wanted),
            ):
                by_keys[row["customer"], row["key"]] = _Stored(row["request"], response_of(row).as_placed())
        if wanted := sorted({(each.customer, each.reference) for each in placements if each.reference is not None}):
            for row in await self.connection.fetch(
                f"SELECT o.fingerprint AS request, {_ORDER_COLUMNS} FROM unnest($1::text[], $2::text[])"  # noqa: S608
                " AS wanted (customer, reference) JOIN orders o USING (customer, reference)",
                *columns(wanted),
            ):
                by_references[row["customer"], row["reference"]] = _Stored(row["request"], response_of(row).as_placed())
        return by_keys, by_references

    async def _claim_keys(self, claims: Sequence[tuple[Placement, OrderResponse | None]]) -> set[tuple[str, str]]:
        """Inserts the keys of these placements, for the stored order or the new one. Returns (customer, key) of the
        inserted rows; another transaction has inserted the others."""
        rows = [
            (each.customer, each.key, each.fingerprint, each.order_id if stored is None else stored.order_id)
            for each, stored in claims
            if each.key is not None
        ]
        if not rows:
            return set()
        inserted = await self.connection.fetch(
            "INSERT INTO idempotency_keys (customer, key, fingerprint, order_id)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[])"
            " ON CONFLICT DO NOTHING RETURNING customer, key",
            *columns(sorted(rows)),
        )
        return {(row[0], row[1]) for row in inserted}

    async def _store(self, new: Sequence[Placement], terms: PaymentTerms) -> dict[UUID, OrderResponse]:
        if not new:
            return {}
        ordered = sorted(new, key=lambda each: (each.customer, each.reference or "", each.order_id))
        rows = await self.connection.fetch(
            "INSERT INTO orders (id, customer, reference, fingerprint, lines, total_cents, currency, express, deadline,"  # noqa: S608
            " traceparent) SELECT id, customer, reference, fingerprint, lines::jsonb, total_cents, currency, express,"
            " now() + make_interval(secs => $10), traceparent FROM unnest($1::uuid[], $2::text[], $3::text[],"
            " $4::bytea[], $5::text[], $6::bigint[], $7::text[], $8::bool[], $9::text[]) AS new (id, customer,"
            " reference, fingerprint, lines, total_cents, currency, express, traceparent)"
            " ON CONFLICT (customer, reference) WHERE reference IS NOT NULL DO NOTHING"
            f" RETURNING {COLUMNS}",
            *columns(map(_row, ordered)),
            terms.deadline_seconds,
        )
        stored = {row["order_id"]: response_of(row) for row in rows}
        lost = [(each.customer, each.key) for each in ordered if each.order_id not in stored and each.key is not None]
        if lost:
            # Another replica has just stored an order with the same reference, so the key has no order.
            await self.connection.execute(
                "DELETE FROM idempotency_keys k USING unnest($1::text[], $2::text[]) AS lost (customer, key)"
                " WHERE k.customer = lost.customer AND k.key = lost.key",
                *columns(lost),
            )
        for each in new:
            if order := stored.get(each.order_id):
                self._announce_created(each)
                if terms.reminder is not None:
                    self._schedule_reminder(each, order.created_at + terms.reminder)
        return stored

    def _schedule_reminder(self, placement: Placement, deliver_at: datetime) -> None:
        self.announce(
            OrderPaymentReminder(
                customer=placement.customer, total_cents=placement.total_cents, currency=placement.currency
            ),
            subject=placement.order_id,
            reference=placement.reference,
            deliver_at=deliver_at,
            traceparent=placement.traceparent,
        )

    def _announce_created(self, placement: Placement) -> None:
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
            subject=placement.order_id,
            reference=placement.reference,
            priority=EXPRESS_PRIORITY if placement.express else None,
            traceparent=placement.traceparent,
        )


def _key_reused() -> IdempotencyKeyReused:
    return IdempotencyKeyReused("This Idempotency-Key was used before with another body.")


def _unique_names(placement: Placement, *, is_stored: bool) -> set[tuple[str, str, str]]:
    """The key and the reference, which must be unique in a batch. The reference of a stored order need not be."""
    names = set()
    if placement.key is not None:
        names.add(("key", placement.customer, placement.key))
    if placement.reference is not None and not is_stored:
        names.add(("reference", placement.customer, placement.reference))
    return names


def _row(placement: Placement) -> tuple[object, ...]:
    return (
        placement.order_id,
        placement.customer,
        placement.reference,
        placement.fingerprint,
        msgspec.json.encode(placement.lines).decode(),
        placement.total_cents,
        placement.currency,
        placement.express,
        placement.traceparent,
    )
