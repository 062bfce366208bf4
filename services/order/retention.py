"""What nobody will ask for again."""

from warren_messaging.postgres.retention import NO_PENDING_MESSAGES, RetentionRule, by_age

_ENDED = (
    "t.state IN ('COMPLETED', 'CANCELLED') AND t.updated_at < now() - make_interval(days => $1)"
    # A key answers with its order: without it the key would stand for nothing, and its request never be answered.
    " AND NOT EXISTS (SELECT FROM idempotency_keys AS k WHERE k.customer = t.customer AND k.order_id = t.id)"
    f" AND {NO_PENDING_MESSAGES.format(subject='t.id')}"
)


def retention_rules(idempotency_days: int, history_days: int) -> list[RetentionRule]:
    """Idempotency-Keys, whose orders stay; and orders that have ended, unless `history_days` is 0."""
    keys = by_age("idempotency_keys", "t.created_at < now() - make_interval(days => $1)", idempotency_days)
    return [keys, *([by_age("orders", _ENDED, history_days, subject="id")] if history_days else [])]
