"""Invalid settings are refused at startup, each with its variable."""

import pytest

from services.email.settings import EmailSettings
from services.notification.settings import NotificationSettings
from services.order.settings import ApiSettings, WorkerSettings
from services.payment.settings import PaymentSettings
from services.shared.chassis.process import ServiceProcess
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from warren_messaging.errors import ConfigurationError
from warren_messaging.postgres.rate_limit import RateLimit
from warren_messaging.settings import load_settings

NEEDED = {
    "WARREN_DATABASE_URL": "postgresql://x@localhost/warren",
    "WARREN_DATABASE_PASSWORD_FILE": "/run/password",
    "WARREN_DATABASE_CA_FILE": "/run/ca.pem",
    "WARREN_BROKER_URL": "amqps://localhost/orders",
    "WARREN_BROKER_CREDENTIALS": "/run/broker",
    "WARREN_BROKER_CA_FILE": "/run/ca.pem",
    "WARREN_SMTP_HOST": "localhost",
    "WARREN_SMTP_PORT": "25",
    "WARREN_GATEWAY_DATABASE_PASSWORD_FILE": "/run/gateway",
}


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        (ProcessSettings, "DATABASE_CONNECTIONS", "0", ">= 1"),
        (ProcessSettings, "DATABASE_CONNECTIONS", "-3", ">= 1"),
        (ProcessSettings, "DATABASE_CONNECTIONS", "many", "int"),
        (ProcessSettings, "HTTP_PORT", "70000", "<= 65535"),
        (ProcessSettings, "STARTUP_SECONDS", "nan", "float"),
        (ProcessSettings, "SHUTDOWN_SECONDS", "-1", ">= 0"),
        (ProcessSettings, "INBOX_DAYS", "29", ">= 30"),
        (ProcessSettings, "FAILURES_DAYS", "0", ">= 1"),
        (ProcessSettings, "HISTORY_DAYS", "-1", ">= 0"),
        (EmailSettings, "DELIVERIES_DAYS", "0", ">= 1"),
        (EmailSettings, "BREAKER_FAILURES", "0", ">= 1"),
        (PaymentSettings, "BREAKER_OPEN_SECONDS", "0", "> 0"),
        (PaymentSettings, "RATE_PER_SECOND", "-1", ">= 0"),
        (ProcessSettings, "LOG_LEVEL", "loud", "not one of debug, info, warning, error, critical"),
        (ProcessSettings, "LOG_FORMAT", "xml", "not one of console, json"),
        (ApiSettings, "PAYMENT_DEADLINE_SECONDS", "0", "> 0"),
        (WorkerSettings, "DEADLINE_TICK_SECONDS", "-1", "> 0"),
        (WorkerSettings, "IDEMPOTENCY_DAYS", "0", ">= 1"),
        (EmailSettings, "SMTP_PORT", "0", ">= 1"),
        (EmailSettings, "SMTP_CONNECTIONS", "0", ">= 1"),
        (NotificationSettings, "CONTACT_DAYS", "0", ">= 1"),
        (NotificationSettings, "CONTACT_DOMAIN", "a@b", "not a domain name"),
        (NotificationSettings, "CONTACT_DOMAIN", "", "not a domain name"),
        (PaymentSettings, "PAYMENT_CONCURRENCY", "0", ">= 1"),
        (PaymentSettings, "GATEWAY_LATENCY_MS", "-1", ">= 0"),
        (PaymentSettings, "GATEWAY_TIMEOUT_SECONDS", "60", "<= 20"),  # the library limits a call to 30
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(
    kind: type[ProcessSettings], name: str, value: str, why: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(kind, ENV_PREFIX, NEEDED | {f"WARREN_{name}": value})
    assert f"WARREN_{name}='{value}'" in str(refusal.value)
    assert why in str(refusal.value)


def test_all_wrong_values_are_reported_at_once() -> None:
    environment = {name: value for name, value in NEEDED.items() if name != "WARREN_BROKER_URL"}
    with pytest.raises(ConfigurationError, match=r"WARREN_BROKER_URL is not set.*WARREN_LOG_LEVEL"):
        load_settings(ProcessSettings, ENV_PREFIX, environment | {"WARREN_LOG_LEVEL": "x"})


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({}, None),
        ({"INBOX_DAYS": "60", "FAILURES_DAYS": "60"}, None),
        ({"FAILURES_DAYS": "36"}, "WARREN_INBOX_DAYS=35 is less than WARREN_FAILURES_DAYS=36"),
        ({"HISTORY_DAYS": "180"}, None),
        ({"HISTORY_DAYS": "179"}, "WARREN_HISTORY_DAYS=179 is too short"),
        ({"HISTORY_DAYS": "400", "INBOX_DAYS": "401"}, "at least WARREN_INBOX_DAYS=401"),
    ],
)
def test_retention_shorter_than_the_time_of_replays_is_refused(values: dict[str, str], refused: str | None) -> None:
    environment = NEEDED | {f"WARREN_{name}": value for name, value in values.items()}
    if refused is None:
        ServiceProcess("probe", load_settings(ProcessSettings, ENV_PREFIX, environment))
    else:
        with pytest.raises(ConfigurationError, match=refused):
            load_settings(ProcessSettings, ENV_PREFIX, environment)


def test_a_breaker_that_stays_open_for_longer_than_its_maximum_is_refused() -> None:
    variables = NEEDED | {"WARREN_BREAKER_OPEN_SECONDS": "31"}
    with pytest.raises(
        ConfigurationError,
        match=r"^settings: WARREN_BREAKER_MAX_OPEN_SECONDS=30.0 is less than WARREN_BREAKER_OPEN_SECONDS=31.0$",
    ):
        load_settings(PaymentSettings, ENV_PREFIX, variables)


def test_calls_are_limited_only_if_a_rate_is_set() -> None:
    assert load_settings(EmailSettings, ENV_PREFIX, NEEDED).rate_limit("email provider") is None
    limited = load_settings(EmailSettings, ENV_PREFIX, NEEDED | {"WARREN_RATE_PER_SECOND": "2.5"})
    assert limited.rate_limit("email provider") == RateLimit("email provider", 2.5, burst=10)
