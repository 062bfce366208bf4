"""Reads the fraud service's table `assessments`."""

from datetime import datetime
from uuid import UUID

import msgspec

from services.shared.contracts.fraud import AppliedRule
from warren.cli.failure_store import order_ids, service_tables
from warren.errors import ClientError
from warren_messaging.postgres.database import DatabaseAddress


class StoredAssessment(msgspec.Struct, frozen=True):
    """A row of the table."""

    order_id: UUID
    reference: str | None
    customer: str
    score: int
    flagged: bool
    rules: list[AppliedRule]
    assessed_at: datetime

    @property
    def order(self) -> str:
        return self.reference or str(self.order_id)


async def find(
    address: DatabaseAddress, *, flagged: bool, since: datetime | None, order: str | None, limit: int | None
) -> list[StoredAssessment]:
    """Return the matching assessments, latest first. Raises ClientError if the role may not read them."""
    async with service_tables(address, "assessments") as (connection, schemas):
        if not schemas:
            raise ClientError("no table `assessments` that this role may read: the fraud service is not installed here")
        rows = await connection.fetch(
            "SELECT order_id, reference, customer, score, flagged, rules, assessed_at"  # noqa: S608 - a known schema
            f' FROM "{schemas[0]}".assessments WHERE (flagged OR NOT $1) AND ($2::timestamptz IS NULL OR'
            " assessed_at >= $2) AND ($3::uuid[] IS NULL OR order_id = ANY($3)) ORDER BY assessed_at DESC LIMIT $4",
            flagged,
            since,
            None if order is None else await order_ids(connection, order),
            limit,
        )
    return [
        StoredAssessment(**dict(row) | {"rules": msgspec.json.decode(row["rules"], type=list[AppliedRule])})
        for row in rows
    ]
