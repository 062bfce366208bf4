"""Passwords are generated once, imported if present, and never shown."""

import base64
import hashlib

import pytest

from broker_topology.credentials.directory import SecretDirectory
from broker_topology.credentials.passwords import hash_password, is_password
from broker_topology.credentials.secrets import Credentials, ensured, store_if_missing, stored
from broker_topology.errors import SecretError
from warren_messaging.amqp.connection import BrokerAddress


async def test_a_missing_secret_is_generated_and_kept(tmp_path):
    store = SecretDirectory(tmp_path / "secrets")
    assert await stored(store, "s", "u") is None
    first = await ensured(store, "s", "u")
    assert (first.username, len(base64.urlsafe_b64decode(first.password + "="))) == ("u", 32)
    assert await ensured(store, "s", "u") == first
    assert {file.name for file in (tmp_path / "secrets" / "s").iterdir()} == {"username", "password"}


async def test_secrets_are_private(tmp_path):
    await ensured(SecretDirectory(tmp_path), "s", "u")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "s").iterdir()} == {0o600}


async def test_an_existing_secret_is_imported(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "username").write_text("u\n")
    (tmp_path / "s" / "password").write_text("from elsewhere\n")
    assert await ensured(SecretDirectory(tmp_path), "s", "u") == Credentials("u", "from elsewhere")


async def test_a_crash_between_the_two_files_is_repaired(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "username").write_text("u")
    assert (await ensured(SecretDirectory(tmp_path), "s", "u")).password


async def test_writing_never_replaces_a_password(tmp_path):
    store = SecretDirectory(tmp_path)
    await store_if_missing(store, "s", Credentials("u", "first"))
    await store_if_missing(store, "s", Credentials("u", "second"))
    assert await stored(store, "s", "u") == Credentials("u", "first")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"username": "other", "password": "p"}, "belongs to user other, but the topology names it for u"),
        ({"password": "p"}, "username is missing or empty"),
        ({"username": "u", "password": ""}, "password is missing or empty"),
    ],
)
async def test_an_unusable_secret_is_refused(tmp_path, files, message):
    (tmp_path / "s").mkdir()
    for name, text in files.items():
        (tmp_path / "s" / name).write_text(text)
    with pytest.raises(SecretError, match=message):
        await stored(SecretDirectory(tmp_path), "s", "u")


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretError):
        await ensured(SecretDirectory(tmp_path / "file"), "s", "u")


def test_credentials_do_not_show_their_password():
    assert "hidden" not in repr(Credentials("u", "hidden")) + str(Credentials("u", "hidden"))


def test_a_hash_equals_the_brokers():
    """The example in RabbitMQ's documentation of the algorithm."""
    salt = bytes.fromhex("908DC60A")
    expected = base64.b64encode(salt + hashlib.sha256(salt + b"test12").digest()).decode()
    assert hash_password("test12", salt) == expected == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


@pytest.mark.parametrize("algorithm", ["rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512"])
def test_a_password_is_recognised_whatever_the_salt(algorithm):
    observed = hash_password("right", algorithm=algorithm)
    assert observed != hash_password("right", algorithm=algorithm)
    assert is_password("right", observed, algorithm)
    assert not is_password("wrong", observed, algorithm)


@pytest.mark.parametrize(
    ("observed", "algorithm"),
    [("", "rabbit_password_hashing_sha256"), ("%", "rabbit_password_hashing_sha256"), ("abcd", "something_new")],
)
def test_a_malformed_hash_fits_no_password(observed, algorithm):
    assert not is_password("right", observed, algorithm)


@pytest.mark.parametrize("kept", ['" x "', " x ", "x\t", "x\n\n", "x\ry", "ü"])
@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
async def test_engine_and_services_read_the_same_password(tmp_path, kept, line_end):
    (tmp_path / "s").mkdir()
    for name, text in (("username", "u"), ("password", kept)):
        (tmp_path / "s" / name).write_bytes(f"{text}{line_end}".encode())
    expected = kept.removesuffix("\n") if not line_end else kept
    assert await stored(SecretDirectory(tmp_path), "s", "u") == Credentials("u", expected)
    assert (await SecretDirectory(tmp_path).contents("s")).data["password"] == expected
    assert BrokerAddress("amqps://localhost/v", tmp_path / "s").login() == ("u", expected)


async def test_a_user_may_have_no_password(tmp_path):
    store = SecretDirectory(tmp_path)
    await store_if_missing(store, "s", Credentials("u"))
    assert await stored(store, "s", "u") == Credentials("u")
    assert Credentials("u").fits("", "rabbit_password_hashing_sha256")
    assert not Credentials("u").fits(hash_password("p"), "rabbit_password_hashing_sha256")
    assert Credentials("u").hashed() == ""


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
async def test_a_hash_keeps_its_algorithm(tmp_path, algorithm):
    called = f"rabbit_password_hashing_{algorithm}"
    hashed = hash_password("p", algorithm=called)
    store = SecretDirectory(tmp_path)
    await store_if_missing(store, "s", Credentials("u", "", hashed, called))
    read = await stored(store, "s", "u")
    assert (read.hashed(), read.written_algorithm) == (hashed, called)
    assert read.fits(hashed, called)
    assert not read.fits(hashed, "rabbit_password_hashing_sha1")
    assert Credentials("u", "p").fits(hashed, called)
