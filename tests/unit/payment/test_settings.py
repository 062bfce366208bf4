from typing import Any

import pytest

from services.payment.settings import Settings
from services.shared.chassis.settings import load_settings
from warren_messaging.errors import ConfigurationError

ENVIRONMENT = {
    "WARREN_DATABASE_URL": "postgresql://payment@db.example:5433/warren",
    "WARREN_DATABASE_PASSWORD_FILE": "/secrets/payment",
    "WARREN_DATABASE_CA_FILE": "/ca.pem",
    "WARREN_BROKER_URL": "amqps://broker.example/orders",
    "WARREN_BROKER_CREDENTIALS": "/secrets/broker",
    "WARREN_BROKER_CA_FILE": "/ca.pem",
    "WARREN_GATEWAY_DATABASE_PASSWORD_FILE": "/secrets/gateway",
}


def settings(**more: str) -> Any:
    return load_settings(Settings, ENVIRONMENT | more)


def test_the_gateways_books_are_in_the_same_database_under_another_role() -> None:
    address = settings().gateway_database
    assert address.url == "postgresql://gateway@db.example:5433/warren"
    assert str(address.password_file) == "/secrets/gateway"


def test_or_wherever_they_are_said_to_be() -> None:
    elsewhere = "postgresql://gateway@books.example/books"
    assert settings(WARREN_GATEWAY_DATABASE_URL=elsewhere).gateway_database.url == elsewhere


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WARREN_PAYMENT_CONCURRENCY", "0"),
        ("WARREN_GATEWAY_LATENCY_MS", "-1"),
        ("WARREN_GATEWAY_TIMEOUT_SECONDS", "60"),  # the library gives a call 30
    ],
)
def test_values_that_cannot_work_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        settings(**{name: value})
