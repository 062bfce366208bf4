from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint

CA = Path("/some where/ca.pem")
BROKER = BrokerEndpoints(
    "127.0.0.1", 5671, "https://127.0.0.1:1", 5551, "https://127.0.0.1:2/metrics", "admin", "p/w:", CA
)
DATABASE = DatabaseEndpoint("127.0.0.1", 5432, "postgres", "p/w@:", CA)


def test_a_dsn_verifies_the_server_and_escapes_special_characters() -> None:
    parts = urlsplit(DATABASE.dsn())
    assert (parts.hostname, parts.port, parts.path) == ("127.0.0.1", 5432, "/warren")
    assert unquote(parts.password or "") == "p/w@:"
    assert parse_qs(parts.query) == {"sslmode": ["verify-full"], "sslrootcert": [str(CA)]}


def test_dsn_of_another_user_and_database() -> None:
    parts = urlsplit(DATABASE.dsn("orders", username="order", password="secret"))
    assert (parts.username, parts.password, parts.path) == ("order", "secret", "/orders")


def test_amqps_url_escapes_credentials_and_virtual_host() -> None:
    parts = urlsplit(BROKER.amqps_url())
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == ("amqps", "127.0.0.1", 5671, "/%2F")
    assert unquote(parts.password or "") == "p/w:"
    assert urlsplit(BROKER.amqps_url("order", "x")).username == "order"


def test_passwords_are_not_in_the_repr() -> None:
    assert "p/w" not in repr(BROKER) + repr(DATABASE)
