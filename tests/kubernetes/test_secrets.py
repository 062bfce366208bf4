"""Users' credentials: generated, imported, changed, lost."""

import re

import aiormq
import pytest
import trustme

from broker_topology.credentials.passwords import hash_password, is_password
from tests.kubernetes.api_client import SECRET, condition, eventually, has, secret_of, texts_of
from tests.kubernetes.environment import OperatorEnv


async def connects(env: OperatorEnv, username: str, password: str) -> bool:
    url = env.address.amqps_url(username, password, env.vhost) + f"?cafile={env.address.ca_file}"
    try:
        connection = await aiormq.connect(url)
    except aiormq.exceptions.AMQPError:
        return False
    await connection.close()
    return True


async def credentials(env: OperatorEnv, name: str) -> dict[str, str]:
    held = await env.cluster.get(SECRET, env.namespace, name)
    assert held is not None
    return texts_of(held)


async def test_a_generated_secret_deleted_by_hand_is_made_anew_and_works(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", users={env.user("u"): {"secretName": "u", "permissions": {"read": ".*"}}})
    await env.until("shop")
    first = await credentials(env, "u")
    assert await connects(env, **first)
    await env.cluster.delete(SECRET, env.namespace, "u")
    made = await env.cluster.until(SECRET, env.namespace, "u", lambda body: texts_of(body) != first)
    second = texts_of(made)
    assert second["password"] != first["password"]
    await eventually(lambda: connects(env, **second))
    assert not await connects(env, **first)
    assert env.logs().count(second["password"]) == 0


async def test_an_imported_secret_is_waited_for_and_a_changed_one_is_used_at_once(env: OperatorEnv) -> None:
    await env.operator()
    name = env.user("u")
    await env.create("shop", users={name: {"secretName": "mine", "credentials": "Import"}})
    waiting = await env.until("shop", lambda body: condition(body).get("status") == "False")
    assert "mine" in condition(waiting)["message"]
    await env.cluster.secret(env.namespace, "mine", username=name, password="first-password")
    await env.until("shop")
    assert (await env.cluster.get(SECRET, env.namespace, "mine") or {})["metadata"].get("ownerReferences") is None
    before = (await env.at_broker("users"))[name]["password_hash"]
    changed = secret_of("mine", username=name, password="second-password")
    await env.cluster.patch(SECRET, env.namespace, "mine", {"data": changed["data"]})
    await env.until_broker("users", lambda users: users[name]["password_hash"] != before)
    assert not re.search("(first|second)-password", env.logs())


async def test_an_imported_hash_keeps_its_algorithm_and_a_line_end_is_no_part_of_a_password(env: OperatorEnv) -> None:
    """As `broker-topology export` writes them, and as `echo` leaves them in a Secret."""
    await env.operator()
    hashed, typed, without = env.user("hashed"), env.user("typed"), env.user("without")
    algorithm = "rabbit_password_hashing_sha512"
    password_hash = hash_password("p", algorithm=algorithm)
    await env.cluster.secret(
        env.namespace, "hashed", username=hashed, passwordHash=password_hash, hashingAlgorithm=algorithm
    )
    await env.cluster.secret(env.namespace, "typed", username=f"{typed}\n", password=" typed \n")
    await env.cluster.secret(env.namespace, "without", username=without, passwordHash="")
    names = {"hashed": hashed, "typed": typed, "without": without}
    users = {name: {"secretName": secret, "credentials": "Import"} for secret, name in names.items()}
    await env.create("shop", users=users)
    await env.until("shop")
    there = await env.at_broker("users")
    assert (there[hashed]["password_hash"], there[hashed]["hashing_algorithm"]) == (password_hash, algorithm)
    assert is_password(" typed ", there[typed]["password_hash"], there[typed]["hashing_algorithm"])
    assert there[without]["password_hash"] == ""


async def test_a_missing_broker_secret_is_said_and_its_arrival_heals_at_once(env: OperatorEnv) -> None:
    await env.cluster.delete(SECRET, env.namespace, "broker")
    await env.operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create("shop", queues={"q": {}})
    missing = await env.until("shop", has("SecretNotFound"))
    assert condition(missing)["message"] == f"Secret {env.namespace}/broker does not exist"
    assert condition(missing)["status"] == "False"
    await env.broker_secret("broker")
    await env.until("shop")


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"password": "not-the-password"}, "AccessDenied", "refuses user"),
        ({"ca_crt": "other"}, "CertificateRefused", "is not trusted"),
        ({"ca_crt": "no certificate"}, "CertificateRefused", "cannot be used"),
        ({"uri": "amqps://localhost:5671"}, "SecretInvalid", "uses the management API"),
        ({"username": ""}, "SecretInvalid", "has no username"),
    ],
    ids=["password", "authority", "no-authority", "amqp", "username"],
)
async def test_a_wrong_broker_secret_is_said_and_its_correction_heals_at_once(
    env: OperatorEnv, wrong: dict[str, str], reason: str, words: str
) -> None:
    if wrong.get("ca_crt") == "other":
        wrong = {"ca_crt": another_authority()}
    await env.broker_secret("broker", **wrong)
    await env.operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create("shop", queues={"q": {}})
    refused = await env.until("shop", has(reason))
    assert words in condition(refused)["message"]
    assert refused["status"]["lastError"] == condition(refused)["message"]
    await env.broker_secret("broker")
    healed = await env.until("shop")
    assert "lastError" not in healed["status"]
    assert "not-the-password" not in env.logs()


def another_authority() -> str:
    return trustme.CA().cert_pem.bytes().decode()
