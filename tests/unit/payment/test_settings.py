from pathlib import Path

import pytest

from services.payment.settings import PaymentSettings
from tests.services import settings_of


@pytest.mark.parametrize(
    ("configured", "url"),
    [
        ("", "postgresql://gateway@db.example:5433/warren"),
        ("postgresql://gateway@ledger.example/ledger", "postgresql://gateway@ledger.example/ledger"),
    ],
)
def test_the_ledger_is_in_the_services_database_unless_set(configured: str, url: str) -> None:
    settings = settings_of(
        PaymentSettings,
        database_url="postgresql://payment@db.example:5433/warren",
        gateway_database_url=configured,
        gateway_database_password_file=Path("/secrets/gateway"),
    )
    assert settings.gateway_database.url == url
    assert settings.gateway_database.password_file == Path("/secrets/gateway")
