"""The books of the simulated gateway: its own schema, which the payment service's role cannot see.

Each call is one statement for any number of keys. Rows are locked in the order of their keys.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from services.payment.simulated_tokens import Behaviour
from warren_messaging.postgres.database import Database


class ChargeState(StrEnum):
    PENDING = "pending"
    CHARGED = "charged"
    DECLINED = "declined"
    BLOCKED = "blocked"
    REFUNDED = "refunded"


class Request(msgspec.Struct, frozen=True):
    """A charge that is asked for; `charge_id` is its name should it be the first of its key."""

    charge_id: str
    amount_cents: int
    currency: str
    token: str
    behaviour: Behaviour


class Entry(msgspec.Struct, frozen=True):
    """What the books say about one key. Amount and currency are unknown for a key that was only voided."""

    key: str
    state: ChargeState
    charge_id: str | None
    code: str | None
    amount_cents: int | None
    currency: str | None
    confirmed_at: datetime | None
    fresh: bool
    """This call made it."""


_COLUMNS = "key, state, charge_id, code, amount_cents, currency, confirmed_at"

# What existed before is read from the snapshot of the statement, which does not see the rows that it inserts.
_OPEN = f"""
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                         $8::int[], $9::float8[])
        AS t (key, state, charge_id, code, amount_cents, currency, token, failures_left, confirmed_after)
), fresh AS (
    INSERT INTO charges (key, state, charge_id, code, amount_cents, currency, token, failures_left, confirmed_at)
    SELECT key, state, charge_id, code, amount_cents, currency, token, failures_left,
           now() + make_interval(secs => confirmed_after)
    FROM asked ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING {_COLUMNS}
), booked AS (
    INSERT INTO entries (key, kind, amount_cents)
    SELECT key, 'charge', amount_cents FROM fresh WHERE state = 'charged'
)
SELECT {_COLUMNS}, true AS fresh FROM fresh
UNION ALL
SELECT {_COLUMNS}, false FROM charges WHERE key = ANY($1::text[])
"""  # noqa: S608 - a constant

_PURSUE = f"""
WITH locked AS (
    SELECT key FROM charges WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE
), moved AS (
    UPDATE charges SET
        failures_left = greatest(failures_left - 1, 0),
        state = CASE WHEN failures_left = 0 AND coalesce(confirmed_at <= now(), true) THEN 'charged' ELSE state END,
        changed_at = now()
    WHERE key IN (SELECT key FROM locked) AND state = 'pending'
    RETURNING {_COLUMNS}
), booked AS (
    INSERT INTO entries (key, kind, amount_cents)
    SELECT key, 'charge', amount_cents FROM moved WHERE state = 'charged'
)
SELECT {_COLUMNS}, false AS fresh FROM moved
"""  # noqa: S608 - a constant

_VOID = f"""
WITH voided AS (
    INSERT INTO charges AS c (key, state) SELECT key, 'blocked' FROM unnest($1::text[]) AS t (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        state = CASE c.state WHEN 'charged' THEN 'refunded' WHEN 'pending' THEN 'blocked' ELSE c.state END,
        changed_at = now()
    RETURNING {_COLUMNS}
), booked AS (
    INSERT INTO entries (key, kind, amount_cents)
    SELECT key, 'refund', -amount_cents FROM voided WHERE state = 'refunded'
    ON CONFLICT (key, kind) DO NOTHING
)
SELECT {_COLUMNS}, false AS fresh FROM voided
"""  # noqa: S608 - a constant


class Ledger(Database):
    """Raises what Database raises."""

    async def probe(self) -> None:
        async with self.connection() as connection:
            await connection.execute("SELECT FROM charges LIMIT 0")

    async def charge(self, requests: Mapping[str, Request]) -> dict[str, Entry]:
        """Open a charge for each new key, pursue those that are pending, and read the rest."""
        found: dict[str, Entry] = {}
        while missing := {key: request for key, request in requests.items() if key not in found}:
            # A key that another process inserts at this moment is neither fresh nor in the snapshot: look again.
            found |= await self._entries(_OPEN, *_columns(missing))
        pending = [key for key, entry in found.items() if entry.state is ChargeState.PENDING and not entry.fresh]
        if pending:
            # One that another process settles at this moment is not moved here: it still reads as pending, which
            # the next call puts right.
            found |= await self._entries(_PURSUE, pending)
        return found

    async def void(self, keys: Mapping[str, None]) -> dict[str, Entry]:
        """Refund what is charged, block the rest; what was declined stays so."""
        return await self._entries(_VOID, list(keys))

    async def _entries(self, statement: str, *arguments: object) -> dict[str, Entry]:
        async with self.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        return {key: Entry(key, ChargeState(state), *rest) for key, state, *rest in rows}


def _columns(requests: Mapping[str, Request]) -> Sequence[list[object]]:
    rows = [
        (
            key,
            _first_state(request.behaviour),
            request.charge_id,
            request.behaviour.code,
            request.amount_cents,
            request.currency,
            request.token,
            # The call that opens it is the first one to fail.
            max(request.behaviour.failures - 1, 0),
            request.behaviour.confirmed_after,
        )
        for key, request in requests.items()
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _first_state(behaviour: Behaviour) -> ChargeState:
    if behaviour.code is not None:
        return ChargeState.DECLINED
    if behaviour.failures or behaviour.confirmed_after is not None:
        return ChargeState.PENDING
    return ChargeState.CHARGED
