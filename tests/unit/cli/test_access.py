"""Addresses of the broker and the database from options, and the errors without them."""

from pathlib import Path

import pytest

from warren.cli import access
from warren.cli.access import BrokerAccess, DatabaseAccess, database_beside
from warren.errors import ClientError

URL = "amqps://broker:5671/orders"


@pytest.fixture(autouse=True)
def _no_running_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "running_instance", lambda: None)


def test_options_give_the_address(tmp_path: Path) -> None:
    address = BrokerAccess(broker_url=URL, broker_credentials=tmp_path).address()
    assert (address.url, address.credentials, address.ca_file) == (URL, tmp_path, None)


def test_the_error_names_the_missing_options() -> None:
    with pytest.raises(ClientError, match=r"start it with `warren up`, or give --broker-url and --broker-credentials"):
        BrokerAccess().address()
    with pytest.raises(ClientError, match="or give --database-url"):
        DatabaseAccess().address()
    with pytest.raises(ClientError, match="--broker-credentials is missing"):
        BrokerAccess(broker_url=URL).address()


def test_the_local_database_is_not_used_with_another_broker(tmp_path: Path) -> None:
    given = BrokerAccess(broker_url=URL, broker_credentials=tmp_path)
    assert database_beside(given, DatabaseAccess()) is None
    database = DatabaseAccess(database_url="postgresql://ops@db/warren")
    found = database_beside(given, database)
    assert found is not None
    assert found.address().url == "postgresql://ops@db/warren"
    with pytest.raises(ClientError, match="--broker-url is missing"):
        database_beside(BrokerAccess(), database)


def test_the_management_url_follows_from_the_broker_url() -> None:
    given = {"broker_credentials": Path("secret")}
    assert BrokerAccess(broker_url=URL, **given).management() == "https://broker:15671"
    assert BrokerAccess(broker_url="amqp://[::1]/orders", **given).management() == "http://[::1]:15672"
    assert BrokerAccess(broker_url=URL, management_url="https://elsewhere", **given).management() == "https://elsewhere"
