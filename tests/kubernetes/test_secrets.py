"""Users' credentials: generated, imported, changed, lost."""

import re

import aiormq
import pytest
import trustme

from broker_topology.credentials.passwords import hash_password, is_password
from tests.kubernetes.cluster import SECRET, condition, eventually, has, secret_of, texts_of
from tests.kubernetes.site import Site


async def connects(place: Site, username: str, password: str) -> bool:
    url = place.address.amqps_url(username, password, place.vhost) + f"?cafile={place.address.ca_file}"
    try:
        connection = await aiormq.connect(url)
    except aiormq.exceptions.AMQPError:
        return False
    await connection.close()
    return True


async def credentials(place: Site, name: str) -> dict[str, str]:
    held = await place.cluster.get(SECRET, place.namespace, name)
    assert held is not None
    return texts_of(held)


async def test_a_generated_secret_deleted_by_hand_is_made_anew_and_works(place: Site) -> None:
    await place.operator()
    await place.create("shop", users={place.user("u"): {"secretName": "u", "permissions": {"read": ".*"}}})
    await place.until("shop")
    first = await credentials(place, "u")
    assert await connects(place, **first)
    await place.cluster.delete(SECRET, place.namespace, "u")
    made = await place.cluster.until(SECRET, place.namespace, "u", lambda body: texts_of(body) != first)
    second = texts_of(made)
    assert second["password"] != first["password"]
    await eventually(lambda: connects(place, **second))
    assert not await connects(place, **first)
    assert place.logs().count(second["password"]) == 0


async def test_an_imported_secret_is_waited_for_and_a_changed_one_is_used_at_once(place: Site) -> None:
    await place.operator()
    name = place.user("u")
    await place.create("shop", users={name: {"secretName": "mine", "credentials": "Import"}})
    waiting = await place.until("shop", lambda body: condition(body).get("status") == "False")
    assert "mine" in condition(waiting)["message"]
    await place.cluster.secret(place.namespace, "mine", username=name, password="first-password")
    await place.until("shop")
    assert (await place.cluster.get(SECRET, place.namespace, "mine") or {})["metadata"].get("ownerReferences") is None
    before = (await place.at_broker("users"))[name]["password_hash"]
    changed = secret_of("mine", username=name, password="second-password")
    await place.cluster.patch(SECRET, place.namespace, "mine", {"data": changed["data"]})
    await place.until_broker("users", lambda users: users[name]["password_hash"] != before)
    assert not re.search("(first|second)-password", place.logs())


async def test_an_imported_hash_keeps_its_algorithm_and_a_line_end_is_no_part_of_a_password(place: Site) -> None:
    """As `broker-topology export` writes them, and as `echo` leaves them in a Secret."""
    await place.operator()
    hashed, typed, without = place.user("hashed"), place.user("typed"), place.user("without")
    algorithm = "rabbit_password_hashing_sha512"
    password_hash = hash_password("p", algorithm=algorithm)
    await place.cluster.secret(
        place.namespace, "hashed", username=hashed, passwordHash=password_hash, hashingAlgorithm=algorithm
    )
    await place.cluster.secret(place.namespace, "typed", username=f"{typed}\n", password=" typed \n")
    await place.cluster.secret(place.namespace, "without", username=without, passwordHash="")
    names = {"hashed": hashed, "typed": typed, "without": without}
    users = {name: {"secretName": secret, "credentials": "Import"} for secret, name in names.items()}
    await place.create("shop", users=users)
    await place.until("shop")
    there = await place.at_broker("users")
    assert (there[hashed]["password_hash"], there[hashed]["hashing_algorithm"]) == (password_hash, algorithm)
    assert is_password(" typed ", there[typed]["password_hash"], there[typed]["hashing_algorithm"])
    assert there[without]["password_hash"] == ""


async def test_a_missing_broker_secret_is_said_and_its_arrival_heals_at_once(place: Site) -> None:
    await place.cluster.delete(SECRET, place.namespace, "broker")
    await place.operator(retry_seconds="3600", retry_max_seconds="3600")
    await place.create("shop", queues={"q": {}})
    missing = await place.until("shop", has("SecretMissing"))
    assert condition(missing)["message"] == f"Secret {place.namespace}/broker does not exist"
    assert condition(missing)["status"] == "False"
    await place.broker_secret("broker")
    await place.until("shop")


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"password": "not-the-password"}, "AccessRefused", "refuses user"),
        ({"ca_crt": "other"}, "CertificateRefused", "is not trusted"),
        ({"ca_crt": "no certificate"}, "CertificateRefused", "cannot be used"),
        ({"uri": "amqps://localhost:5671"}, "SecretUnusable", "speaks to the management API"),
        ({"username": ""}, "SecretUnusable", "has no username"),
    ],
    ids=["password", "authority", "no-authority", "amqp", "username"],
)
async def test_a_wrong_broker_secret_is_said_and_its_correction_heals_at_once(
    place: Site, wrong: dict[str, str], reason: str, words: str
) -> None:
    if wrong.get("ca_crt") == "other":
        wrong = {"ca_crt": another_authority()}
    await place.broker_secret("broker", **wrong)
    await place.operator(retry_seconds="3600", retry_max_seconds="3600")
    await place.create("shop", queues={"q": {}})
    refused = await place.until("shop", has(reason))
    assert words in condition(refused)["message"]
    assert refused["status"]["lastError"] == condition(refused)["message"]
    await place.broker_secret("broker")
    healed = await place.until("shop")
    assert "lastError" not in healed["status"]
    assert "not-the-password" not in place.logs()


def another_authority() -> str:
    return trustme.CA().cert_pem.bytes().decode()
