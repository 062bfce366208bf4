"""Reading user name and password while Kubernetes replaces the files of the Secret, and names of rotated users."""

import threading
from pathlib import Path

import pytest

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.errors import ConfigurationError
from warren_messaging.sender import service_of_user


def mount(folder: Path, generation: int) -> None:
    """Replace a mounted Secret as Kubernetes does: make a folder, replace one link to it, remove the former folder."""
    present = folder / f"..{generation}"
    present.mkdir()
    (present / "username").write_text(f"order.{generation}")
    (present / "password").write_text(f"password {generation}")
    (folder / "..data_tmp").symlink_to(present.name)
    (folder / "..data_tmp").replace(folder / "..data")
    for name in ("username", "password"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if (former := folder / f"..{generation - 1}").exists():
        for each in former.iterdir():
            each.unlink()
        former.rmdir()


def test_user_name_and_password_always_belong_together(tmp_path: Path) -> None:
    mount(tmp_path, 0)
    address = BrokerAddress("amqps://broker/orders", tmp_path)
    finished = threading.Event()

    def rotate() -> None:
        for generation in range(1, 300):
            mount(tmp_path, generation)
        finished.set()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    seen = set()
    while not finished.is_set():
        username, password = address.login()
        assert username.removeprefix("order.") == password.removeprefix("password ")
        seen.add(username)
    rotating.join()
    assert len(seen) > 1
    assert address.login() == ("order.299", "password 299")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    mount(tmp_path, 0)
    (tmp_path / "..0" / "password").unlink()
    with pytest.raises(ConfigurationError, match="cannot read the broker password"):
        BrokerAddress("amqps://broker/orders", tmp_path).login()


@pytest.mark.parametrize(
    ("user", "name"),
    [("order", "order"), ("order.1", "order"), ("order.12", "order"), ("order.x", "order.x"), ("a.b.3", "a.b")],
)
def test_a_numbered_user_belongs_to_its_service(user: str, name: str) -> None:
    assert service_of_user(user) == name
