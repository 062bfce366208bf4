"""Reading a broker connection from a Secret."""

import pytest

from topology_operator.broker.connection import IncompleteSecret, ManagementEndpoint, from_secret

USER = {"username": "u", "password": "secret-word"}


@pytest.mark.parametrize(
    ("data", "url"),
    [
        ({"uri": "https://rabbit.ns.svc"}, "https://rabbit.ns.svc:15671"),
        ({"uri": "https://rabbit:1234/path/"}, "https://rabbit:1234/path"),
        ({"uri": "http://localhost"}, "http://localhost:15672"),
        ({"uri": "https://[::1]:15671\n"}, "https://[::1]:15671"),
        ({"host": "rabbit"}, "https://rabbit:15671"),
        ({"host": "rabbit", "port": "443"}, "https://rabbit:443"),
    ],
)
def test_the_url_is_built_from_uri_or_host_and_port(data: dict[str, str], url: str) -> None:
    assert from_secret(data | USER) == ManagementEndpoint(url=url, username="u", password="secret-word")


def test_username_and_password_win_over_credentials_in_the_uri() -> None:
    uri = "https://in%40uri:p%2Fw@rabbit"
    assert (from_secret({"uri": uri}).username, from_secret({"uri": uri}).password) == ("in@uri", "p/w")
    assert from_secret({"uri": uri} | USER).password == "secret-word"
    assert from_secret({"uri": uri}).url == "https://rabbit:15671"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (USER, "neither uri nor host"),
        ({"uri": "amqps://rabbit"} | USER, "write https://host:15671"),
        ({"uri": "rabbit:15671"} | USER, "not an address"),
        ({"uri": "https://rabbit:port"} | USER, "not an address"),
        ({"host": "rabbit", "password": "x"}, "no username"),
        ({"host": "rabbit", "username": "x"}, "no password"),
        ({"host": "rabbit", "tls.crt": "x"} | USER, "no tls.key"),
    ],
)
def test_an_error_names_the_missing_key_and_shows_no_value(data: dict[str, str], words: str) -> None:
    with pytest.raises(IncompleteSecret, match=words) as refusal:
        from_secret(data)
    assert "secret-word" not in str(refusal.value)


def test_repr_shows_no_password() -> None:
    assert "secret-word" not in repr(from_secret({"host": "rabbit"} | USER))
