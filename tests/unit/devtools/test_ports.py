import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.errors import PortTakenError
from devtools.ports import is_free, remembered_ports, require_free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_ports_are_distinct_and_below_the_range_for_outgoing_connections(tmp_path: Path) -> None:
    purposes = [f"purpose-{number}" for number in range(30)]
    ports = remembered_ports(tmp_path / "ports.json", purposes)
    assert list(ports) == purposes
    assert len(set(ports.values())) == 30
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20000 <= port < first_outgoing for port in ports.values())


def test_ports_are_remembered(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path / "ports.json", ["a", "b"])
    assert remembered_ports(tmp_path / "ports.json", ["a", "b"]) == first


def test_a_taken_port_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path / "ports.json", ["a", "b"])
    with socket.create_server(("127.0.0.1", first["a"])):
        second = remembered_ports(tmp_path / "ports.json", ["a", "b"])
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_a_later_version_may_need_more_ports(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path / "ports.json", ["a"])
    second = remembered_ports(tmp_path / "ports.json", ["a", "b"])
    assert second["a"] == first["a"]
    assert second["b"] != first["a"]


def test_a_preferred_port_is_taken_whenever_it_is_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        preferred = {"b": listener.getsockname()[1]}
        instead = remembered_ports(file, ["a", "b"], preferred=preferred)
        assert instead["b"] >= 20000
        assert instead["b"] != preferred["b"]
        assert remembered_ports(file, ["a", "b"], preferred=preferred) == instead
    assert remembered_ports(file, ["a", "b"], preferred=preferred) == instead | preferred


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"a": ')
    assert remembered_ports(tmp_path / "ports.json", ["a"])["a"] >= 20000


def test_the_error_names_a_taken_port_its_process_and_an_alternative(taken_port: int) -> None:
    assert not is_free(taken_port)
    with pytest.raises(PortTakenError) as refusal:
        require_free_port(taken_port, "the order API")
    message = str(refusal.value)
    assert f"Port {taken_port}, needed for the order API" in message
    assert f"pid {os.getpid()}" in message
    assert "Stop that process" in message


def test_a_free_port_is_accepted(taken_port: int, tmp_path: Path) -> None:
    require_free_port(remembered_ports(tmp_path / "ports.json", ["a"])["a"], "the order API")


def test_an_invalid_port_number_is_not_free(tmp_path: Path) -> None:
    assert not is_free(70_000)
    (tmp_path / "ports.json").write_text('{"a": 70000}')
    assert remembered_ports(tmp_path / "ports.json", ["a"])["a"] < 65536
