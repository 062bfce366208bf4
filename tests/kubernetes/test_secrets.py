"""Secrets with users' credentials, and Secrets with the broker's address."""

import re

import aiormq
import pytest
import trustme

from broker_topology.credentials.passwords import hash_password, is_password
from tests.kubernetes.api_client import condition, eventually, has_reason
from tests.kubernetes.environment import OperatorEnv

NO_RETRY = {"retry_seconds": "3600", "retry_max_seconds": "3600"}


async def can_connect(env: OperatorEnv, secret: dict[str, str]) -> bool:
    url = env.broker.amqps_url(secret["username"], secret["password"], env.vhost) + f"?cafile={env.broker.ca_file}"
    try:
        connection = await aiormq.connect(url)
    except aiormq.exceptions.AMQPError:
        return False
    await connection.close()
    return True


@pytest.mark.usefixtures("operator")
async def test_a_deleted_generated_secret_is_generated_again_and_works(env: OperatorEnv) -> None:
    await env.create_ready("shop", users={env.user("u"): {"secretName": "u", "permissions": {"read": ".*"}}})
    first = await env.secret("u")
    assert await can_connect(env, first)
    await env.delete_secret("u")
    second = await env.wait_until_secret("u", lambda secret: secret != first)
    assert second["password"] != first["password"]
    await eventually(lambda: can_connect(env, second))
    assert not await can_connect(env, first)
    assert second["password"] not in env.logs()


@pytest.mark.usefixtures("operator")
async def test_an_imported_secret_is_waited_for_and_a_change_is_used_at_once(env: OperatorEnv) -> None:
    name = env.user("u")
    await env.create("shop", users={name: {"secretName": "mine", "credentials": "Import"}})
    waiting = await env.wait_until("shop", lambda body: condition(body).get("status") == "False")
    assert "mine" in condition(waiting)["message"]
    await env.put_secret("mine", username=name, password="first-password")
    await env.wait_until_ready("shop")
    assert await env.owners("mine") == []
    before = (await env.at_broker("users"))[name]["password_hash"]
    await env.put_secret("mine", username=name, password="second-password")
    await env.wait_until_broker("users", lambda users: users[name]["password_hash"] != before)
    assert not re.search("(first|second)-password", env.logs())


@pytest.mark.usefixtures("operator")
async def test_an_imported_hash_keeps_its_algorithm_and_a_line_end_is_not_part_of_a_password(env: OperatorEnv) -> None:
    """As `broker-topology export` writes hashes, and as `echo` ends a value."""
    names = {secret: env.user(secret) for secret in ("hashed", "typed", "without")}
    algorithm = "rabbit_password_hashing_sha512"
    password_hash = hash_password("p", algorithm=algorithm)
    await env.put_secret("hashed", username=names["hashed"], passwordHash=password_hash, hashingAlgorithm=algorithm)
    await env.put_secret("typed", username=f"{names['typed']}\n", password=" typed \n")
    await env.put_secret("without", username=names["without"], passwordHash="")
    users = {name: {"secretName": secret, "credentials": "Import"} for secret, name in names.items()}
    await env.create_ready("shop", users=users)
    found = await env.at_broker("users")
    hashed, typed, without = (found[name] for name in names.values())
    assert (hashed["password_hash"], hashed["hashing_algorithm"]) == (password_hash, algorithm)
    assert is_password(" typed ", typed["password_hash"], typed["hashing_algorithm"])
    assert without["password_hash"] == ""


async def test_a_missing_broker_secret_is_reported_and_used_as_soon_as_it_exists(env: OperatorEnv) -> None:
    await env.delete_secret("broker")
    await env.start_operator(**NO_RETRY)
    await env.create("shop", queues={"q": {}})
    missing = await env.wait_until("shop", has_reason("SecretNotFound"))
    assert condition(missing)["message"] == f"Secret {env.namespace}/broker does not exist"
    assert condition(missing)["status"] == "False"
    await env.put_broker_secret()
    await env.wait_until_ready("shop")


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"password": "not-the-password"}, "AccessDenied", "refuses user"),
        ({"ca_crt": trustme.CA().cert_pem.bytes().decode()}, "CertificateRefused", "is not trusted"),
        ({"ca_crt": "no certificate"}, "CertificateRefused", "cannot be used"),
        ({"uri": "amqps://localhost:5671"}, "SecretInvalid", "uses the management API"),
        ({"username": ""}, "SecretInvalid", "has no username"),
    ],
    ids=["password", "authority", "no-authority", "amqp", "username"],
)
async def test_a_wrong_broker_secret_is_reported_and_its_correction_is_used_at_once(
    env: OperatorEnv, wrong: dict[str, str], reason: str, words: str
) -> None:
    await env.put_broker_secret(**wrong)
    await env.start_operator(**NO_RETRY)
    await env.create("shop", queues={"q": {}})
    refused = await env.wait_until("shop", has_reason(reason))
    assert words in condition(refused)["message"]
    assert refused["status"]["lastError"] == condition(refused)["message"]
    await env.put_broker_secret()
    healed = await env.wait_until_ready("shop")
    assert "lastError" not in healed["status"]
    assert "not-the-password" not in env.logs()
