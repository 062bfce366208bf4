from pathlib import Path

from devtools.servers.rabbitmq import PORTS, render_configuration

SETTINGS = dict(
    line.split(" = ", 1)
    for line in render_configuration(
        "127.0.0.1",
        "127.0.0.1",
        {purpose: 20000 + number for number, purpose in enumerate(PORTS)},
        "hunter2",
        {"cacertfile": Path("/c/ca.pem"), "certfile": Path("/c/s.pem"), "keyfile": Path("/c/s.key")},
    ).splitlines()
    if " = " in line
)


def test_no_listener_is_without_tls() -> None:
    for listener in ("listeners.tcp", "stream.listeners.tcp", "prometheus.tcp.listener"):
        assert SETTINGS[listener] == "none"
    assert not any(key.startswith("management.tcp") for key in SETTINGS)


def test_every_listener_is_on_loopback() -> None:
    assert SETTINGS["listeners.ssl.1"] == "127.0.0.1:20000"
    assert SETTINGS["stream.listeners.ssl.1"] == "127.0.0.1:20002"
    assert SETTINGS["management.ssl.ip"] == SETTINGS["prometheus.ssl.ip"] == "127.0.0.1"


def test_the_certificate_covers_the_advertised_stream_address() -> None:
    assert SETTINGS["stream.advertised_tls_host"] == "127.0.0.1"
    assert SETTINGS["stream.advertised_tls_port"] == "20002"


def test_every_listener_has_the_certificate() -> None:
    for key in ("ssl_options", "management.ssl", "prometheus.ssl"):
        assert SETTINGS[f"{key}.certfile"] == "/c/s.pem"
        assert SETTINGS[f"{key}.keyfile"] == "/c/s.key"


def test_the_only_default_user_is_the_administrator() -> None:
    assert SETTINGS["default_user"] == "admin"
    assert SETTINGS["default_pass"] == "hunter2"
