"""Where commands find the broker and the database, and what they say when they do not."""

from pathlib import Path

import pytest

from warren.cli import access
from warren.cli.access import BrokerAccess, DatabaseAccess, database_beside
from warren.errors import ClientError

URL = "amqps://broker:5671/orders"


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "running_instance", lambda: None)


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    address = BrokerAccess(broker_url=URL, broker_credentials=tmp_path).address()
    assert (address.url, address.credentials, address.ca_file) == (URL, tmp_path, None)


def test_without_anything_it_says_what_to_start_or_give() -> None:
    with pytest.raises(ClientError, match=r"start it with `warren up`, or give --broker-url and --broker-credentials"):
        BrokerAccess().address()
    with pytest.raises(ClientError, match="or give --database-url"):
        DatabaseAccess().address()
    with pytest.raises(ClientError, match="--broker-credentials is missing"):
        BrokerAccess(broker_url=URL).address()


def test_the_local_database_is_never_taken_for_another_brokers(tmp_path: Path) -> None:
    given = BrokerAccess(broker_url=URL, broker_credentials=tmp_path)
    assert database_beside(given, DatabaseAccess()) is None
    database = DatabaseAccess(database_url="postgresql://ops@db/warren")
    found = database_beside(given, database)
    assert found is not None
    assert found.url == "postgresql://ops@db/warren"
    with pytest.raises(ClientError, match="--broker-url is missing"):
        database_beside(BrokerAccess(), database)


def test_the_management_api_is_looked_for_beside_the_broker() -> None:
    given = {"broker_credentials": Path("secret")}
    assert BrokerAccess(broker_url=URL, **given).management() == "https://broker:15671"
    assert BrokerAccess(broker_url="amqp://[::1]/orders", **given).management() == "http://[::1]:15672"
    assert BrokerAccess(broker_url=URL, management_url="https://elsewhere", **given).management() == "https://elsewhere"
