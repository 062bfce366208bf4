"""Forgets what nobody will ask for again."""

from services.shared.messaging.transaction import Transaction

BATCH = 1000  # rows in one transaction


async def forget_keys(work: Transaction, *, days: int) -> int:
    """Remove Idempotency-Keys older than so many days; returns how many. Their orders stay."""
    done = await work.connection.execute(
        "DELETE FROM idempotency_keys WHERE (customer, key) IN (SELECT customer, key FROM idempotency_keys"
        " WHERE created_at < now() - make_interval(days => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)",
        days,
        BATCH,
    )
    return int(done.split()[-1])
