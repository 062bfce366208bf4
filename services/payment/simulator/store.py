"""The ledger of the simulated gateway, in a schema that the payment service's role cannot read.

Each call is one statement for any number of keys. Rows are locked in the order of their keys.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from services.payment.simulator.tokens import TokenBehaviour
from services.shared.chassis.repository import columns
from warren_messaging.postgres.database import Database


class ChargeState(StrEnum):
    PENDING = "pending"
    CHARGED = "charged"
    DECLINED = "declined"
    BLOCKED = "blocked"
    REFUNDED = "refunded"


class ChargeRequest(msgspec.Struct, frozen=True):
    charge_id: str
    """Used if this is the first request with its key."""
    amount_cents: int
    currency: str
    token: str
    behaviour: TokenBehaviour


class ChargeRecord(msgspec.Struct, frozen=True):
    """The charge of one key. Amount and currency are None for a key that was only voided."""

    key: str
    state: ChargeState
    charge_id: str | None
    code: str | None
    amount_cents: int | None
    currency: str | None
    confirmed_at: datetime | None
    inserted: bool
    """This call inserted it."""


_COLUMNS = "key, state, charge_id, code, amount_cents, currency, confirmed_at"

# The second SELECT reads the snapshot of the statement, so it returns only rows that existed before.
_INSERT = f"""
WITH requested AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                         $8::int[], $9::float8[])
        AS t (key, state, charge_id, code, amount_cents, currency, token, failures_left, confirmed_after)
), inserted AS (
    INSERT INTO charges (key, state, charge_id, code, amount_cents, currency, token, failures_left, confirmed_at)
    SELECT key, state, charge_id, code, amount_cents, currency, token, failures_left,
           now() + make_interval(secs => confirmed_after)
    FROM requested ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING {_COLUMNS}
), booked AS (
    INSERT INTO entries (key, kind, amount_cents)
    SELECT key, 'charge', amount_cents FROM inserted WHERE state = 'charged'
)
SELECT {_COLUMNS}, true AS inserted FROM inserted
UNION ALL
SELECT {_COLUMNS}, false FROM charges WHERE key = ANY($1::text[])
"""  # noqa: S608 - a constant

_ADVANCE = f"""
WITH locked AS (
    SELECT key FROM charges WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE
), advanced AS (
    UPDATE charges SET
        failures_left = greatest(failures_left - 1, 0),
        state = CASE WHEN failures_left = 0 AND coalesce(confirmed_at <= now(), true) THEN 'charged' ELSE state END,
        changed_at = now()
    WHERE key IN (SELECT key FROM locked) AND state = 'pending'
    RETURNING {_COLUMNS}
), booked AS (
    INSERT INTO entries (key, kind, amount_cents)
    SELECT key, 'charge', amount_cents FROM advanced WHERE state = 'charged'
)
SELECT {_COLUMNS}, false AS inserted FROM advanced
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
SELECT {_COLUMNS}, false AS inserted FROM voided
"""  # noqa: S608 - a constant


class ChargeLedger(Database):
    """Raises the errors of Database."""

    async def probe(self) -> None:
        async with self.connection() as connection:
            await connection.execute("SELECT FROM charges LIMIT 0")

    async def charge(self, requests: Mapping[str, ChargeRequest]) -> dict[str, ChargeRecord]:
        """Inserts a charge for each new key, advances pending charges, and reads the others."""
        found: dict[str, ChargeRecord] = {}
        while missing := {key: request for key, request in requests.items() if key not in found}:
            # A key that another process is inserting is neither inserted here nor in the snapshot: read again.
            found |= await self._records(_INSERT, *columns(_row(key, request) for key, request in missing.items()))
        pending = [key for key, each in found.items() if each.state is ChargeState.PENDING and not each.inserted]
        if pending:
            # A charge that another process completes at the same time still reads as pending; the next call reads it.
            found |= await self._records(_ADVANCE, pending)
        return found

    async def void(self, keys: Mapping[str, None]) -> dict[str, ChargeRecord]:
        """Refunds charged keys and blocks the others; declined keys stay declined."""
        return await self._records(_VOID, list(keys))

    async def _records(self, statement: str, *arguments: object) -> dict[str, ChargeRecord]:
        async with self.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        return {key: ChargeRecord(key, ChargeState(state), *rest) for key, state, *rest in rows}


def _row(key: str, request: ChargeRequest) -> tuple[object, ...]:
    behaviour = request.behaviour
    if behaviour.code is not None:
        state = ChargeState.DECLINED
    elif behaviour.failures or behaviour.confirmed_after is not None:
        state = ChargeState.PENDING
    else:
        state = ChargeState.CHARGED
    # The call that inserts the row is the first one to fail.
    failures_left = max(behaviour.failures - 1, 0)
    return (
        key,
        state,
        request.charge_id,
        behaviour.code,
        request.amount_cents,
        request.currency,
        request.token,
        failures_left,
        behaviour.confirmed_after,
    )
