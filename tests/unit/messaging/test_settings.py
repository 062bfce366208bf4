"""Settings are read with any prefix, every mistake is named, and no address is shown with its password."""

import re
from pathlib import Path

import pytest

from warren_messaging import BrokerAddress, ConfigurationError, DatabaseAddress, ServiceSettings, load_settings

LOCAL = {
    "SHOP_BROKER_URL": "amqp://shop:s3cret@localhost/",
    "SHOP_DATABASE_URL": "postgresql://shop:s3cret@localhost/shop",
}


def test_two_addresses_suffice() -> None:
    settings = load_settings(ServiceSettings, "SHOP_", LOCAL)
    assert settings.broker.login() == ("shop", "s3cret")
    assert settings.broker.tls() is settings.database.tls() is None
    assert settings.database.password() == "s3cret"
    assert settings == ServiceSettings(broker_url=LOCAL["SHOP_BROKER_URL"], database_url=LOCAL["SHOP_DATABASE_URL"])


def test_files_replace_passwords() -> None:
    files = {"SHOP_BROKER_CREDENTIALS": "/run/broker", "SHOP_DATABASE_PASSWORD_FILE": "/run/password"}
    urls = {"SHOP_BROKER_URL": "amqps://localhost/", "SHOP_DATABASE_URL": "postgresql://shop@localhost/shop"}
    settings = load_settings(ServiceSettings, "SHOP_", files | urls)
    assert settings.broker.credentials == Path("/run/broker")
    assert settings.database.password_file == Path("/run/password")


def test_contradictions_are_reported_together_and_by_variable() -> None:
    environment = {
        "SHOP_BROKER_URL": "amqp://localhost/",
        "SHOP_DATABASE_URL": "mysql://shop:s3cret@localhost/shop",
        "SHOP_INBOX_DAYS": "10",
    }
    with pytest.raises(ConfigurationError) as refused:
        load_settings(ServiceSettings, "SHOP_", environment)
    text = str(refused.value)
    assert "SHOP_BROKER_URL: broker address 'amqp://localhost/' has no credentials" in text
    assert "SHOP_DATABASE_URL: database address 'mysql://shop@localhost/shop' is not postgresql://" in text
    assert "SHOP_INBOX_DAYS=10 is less than SHOP_FAILURES_DAYS=30" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("password", ["s3cret", "s3:c@ret", "s3%2Fcret", "s3/cret"])
def test_an_address_is_shown_without_its_password(password: str) -> None:
    assert BrokerAddress(f"amqp://shop:{password}@localhost:5672/vhost").location == "amqp://localhost:5672/vhost"
    database = DatabaseAddress(f"postgresql://shop:{password}@localhost:5432/shop")
    settings = ServiceSettings(broker_url=f"amqp://shop:{password}@localhost/", database_url=database.url)
    assert repr(settings) == (
        "ServiceSettings(BrokerAddress('amqp://localhost/'), DatabaseAddress('postgresql://shop@localhost:5432/shop'))"
    )
    assert database.location == "postgresql://shop@localhost:5432/shop"


@pytest.mark.parametrize(
    "text",
    [
        "shop:s3cret@localhost/shop",
        "{scheme}:/shop:s3cret@localhost/shop",
        "shop:s3cret@localhost://shop",
        "host=localhost password=s3cret",
        "{scheme}://shop@localhost:1/shop?password=s3cret",
        "{scheme}://localhost/shop?password=1@s3cret",
        "{scheme}://shop:s3?cret@localhost:port/shop",
        "{scheme}://shop:s3cret@[::1/shop",
        "{scheme}://shop:s3cret@local[host]/shop",
        "{scheme}://shop:s3cret@local..host/shop",
        "{scheme}://shop:s3cret@" + "a" * 64 + "/shop",
    ],
)
def test_no_text_in_place_of_an_address_shows_a_password_or_another_error(text: str) -> None:
    for address in (
        BrokerAddress(text.format(scheme="amqp")),
        DatabaseAddress(text.format(scheme="postgresql")),
    ):
        assert not re.search("s3|cret", f"{address.location} {address}")
        if "localhost:1/" not in text and "=1@" not in text:
            with pytest.raises(ConfigurationError, match=re.escape(address.location)):
                address.require_valid()


def test_passwords_in_addresses_may_be_quoted() -> None:
    assert BrokerAddress("amqp://sh%40p:s3%2Fcret@localhost/").login() == ("sh@p", "s3/cret")
    assert (
        BrokerAddress("amqp://sh%40p:s3%2Fcret@localhost/").with_credentials() == "amqp://sh%40p:s3%2Fcret@localhost/"
    )
    assert DatabaseAddress("postgresql://shop:s3%2Fcret@localhost/shop").password() == "s3/cret"


def test_a_missing_variable_names_a_similar_one() -> None:
    environment = {"SHOP_BROKR_URL": "amqp://localhost/", "OTHER_DATABASE_URL": "postgresql://localhost/shop"}
    expected = "settings: SHOP_BROKER_URL is not set, did you mean SHOP_BROKR_URL?; SHOP_DATABASE_URL is not set"
    with pytest.raises(ConfigurationError) as refused:
        load_settings(ServiceSettings, "SHOP_", environment)
    assert str(refused.value) == expected
