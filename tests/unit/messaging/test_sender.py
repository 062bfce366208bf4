import re

import pytest

from warren_messaging.sender import REDRIVE_EXCHANGE, forgery_reason

GENUINE = {
    "exchange": "order.exchange",
    "routing_key": "payment.success",
    "user_id": "payment",
    "source": "/warren/payment",
    "event_type": "payment.success",
}


@pytest.mark.parametrize("changes", [{}, {"user_id": "payment.7"}, {"source": "payment"}, {"exchange": "moved"}])
def test_an_event_published_by_its_source_is_genuine(changes: dict[str, str]) -> None:
    assert forgery_reason(**(GENUINE | changes)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, r"sent without a user_id in the name of '/warren/payment'"),
        ({"user_id": "inventory"}, r"sent by user 'inventory' in the name of '/warren/payment'"),
        ({"user_id": "payments"}, r"sent by user 'payments'"),
        ({"source": "/warren/payment/"}, r"in the name of '/warren/payment/'"),
        ({"source": ""}, r"in the name of ''"),
        ({"user_id": "", "source": ""}, r"without a user_id"),
        ({"routing_key": "payment.failed"}, r"type 'payment.success' was sent with the routing key 'payment.failed'"),
        ({"user_id": "inventory", "source": "/warren/inventory", "routing_key": "inventory.committed"}, r"routing key"),
    ],
)
def test_an_event_published_by_another_service_is_forged(changes: dict[str, str | None], reason: str) -> None:
    found = forgery_reason(**(GENUINE | changes))
    assert found is not None and re.search(reason, found)


def test_a_replay_is_not_checked_again() -> None:
    replayed = GENUINE | {"routing_key": "order.queue", "user_id": None}
    assert forgery_reason(**(replayed | {"exchange": REDRIVE_EXCHANGE})) is None
    # A queue migration passes messages through an exchange of its own.
    assert forgery_reason(**(replayed | {"exchange": "moved", "user_id": "dlq.2"})) is None
    assert forgery_reason(**(replayed | {"exchange": "moved"})) is not None
