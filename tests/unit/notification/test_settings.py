from typing import Any

import pytest

from services.notification.settings import Settings
from services.shared.chassis.settings import load_settings
from warren_messaging.errors import ConfigurationError

NEEDED = {
    "WARREN_DATABASE_URL": "postgresql://notification@localhost/warren",
    "WARREN_DATABASE_PASSWORD_FILE": "/run/password",
    "WARREN_DATABASE_CA_FILE": "/run/ca.pem",
    "WARREN_BROKER_URL": "amqps://localhost/orders",
    "WARREN_BROKER_CREDENTIALS": "/run/broker",
    "WARREN_BROKER_CA_FILE": "/run/ca.pem",
}


def test_without_a_contact_domain_nobody_is_written_to_unasked() -> None:
    assert load_settings(Settings, NEEDED).contact_domain is None


@pytest.mark.parametrize("domain", ["shop.test", "localhost"])
def test_a_domain_is_taken(domain: str) -> None:
    assert load_settings(Settings, NEEDED | {"WARREN_CONTACT_DOMAIN": domain}).contact_domain == domain


@pytest.mark.parametrize(
    ("field", "value"),
    [("CONTACT_DOMAIN", "a@b"), ("CONTACT_DOMAIN", ""), ("CONTACT_DAYS", "0")],
)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"WARREN_{field}"):
        load_settings(Settings, NEEDED | {f"WARREN_{field}": value})
