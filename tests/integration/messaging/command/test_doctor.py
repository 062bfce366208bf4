"""`warren-messaging doctor` finds each problem at real servers, states what to do, and changes nothing."""

import json
from typing import Any

import pytest

from tests.coffee_shop import ALL, PASSWORD, CoffeeShop, wait_until

LEAST = {"configure": "^$", "write": "^events$", "read": r"^coffee\.queue$"}
WITHOUT_A_RIGHT = {"configure": "^$", "write": "^$", "read": "^$"}


@pytest.fixture
def ready(shop: CoffeeShop) -> CoffeeShop:
    assert shop.run("migrations", "apply", "coffee:service").returncode == 0
    assert shop.run("topology", "coffee:service", "--declare").returncode == 0
    return shop


def doctor(shop: CoffeeShop, *options: str, **environment: str | None) -> dict[str, Any]:
    """The results by the name of the check; the exit code agrees with them."""
    done = shop.run("doctor", "coffee:service", "--json", *options, **environment)
    assert done.stderr == ""
    results = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == (1 if "failed" in {each["state"] for each in results.values()} else 0)
    assert all((each["remedy"] is None) == (each["state"] == "ok") for each in results.values())
    return results


def with_management(shop: CoffeeShop) -> list[str]:
    """Options for the management API with the administrator's login, whose certificate the broker's CA verifies."""
    broker = shop.servers.broker.endpoints
    folder = shop.folder / "administrator"
    folder.mkdir(exist_ok=True)
    (folder / "username").write_text(broker.admin_username)
    (folder / "password").write_text(broker.admin_password)
    return ["--management-url", broker.management_url, "--management-credentials", str(folder)]


def not_ok(results: dict[str, Any]) -> dict[str, str]:
    return {name: each["detail"] for name, each in results.items() if each["state"] != "ok"}


def test_a_service_that_has_all_it_needs_passes_every_check(ready: CoffeeShop) -> None:
    ready.management("POST", f"exchanges/{ready.vhost}/amq.default/publish", MESSAGE)
    assert not_ok(doctor(ready)) == {}
    found = doctor(ready, *with_management(ready))
    assert not_ok(found) == {}
    assert {"bindings of coffee.queue", "parking lot of coffee.queue", "broker version", "outbox"} <= found.keys()
    message = ready.management("POST", f"queues/{ready.vhost}/coffee.queue/get", GET)[0]
    assert not message["redelivered"], "the checks have taken no message"
    printed = ready.run("doctor", "coffee:service")
    assert printed.returncode == 0
    assert all(line.startswith("ok ") for line in printed.stdout.splitlines())


MESSAGE = {"properties": {}, "routing_key": "coffee.queue", "payload": "waiting", "payload_encoding": "string"}
GET = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}


def test_a_service_without_queue_and_tables_fails_with_a_remedy(shop: CoffeeShop) -> None:
    found = doctor(shop)
    assert not_ok(found).keys() == {
        "queue coffee.queue",
        "exchange events",
        "arguments of coffee.dlq",
        "arguments of coffee.queue",
        "database schema",
    }
    assert found["queue coffee.queue"]["detail"] == "does not exist"
    assert "warren-messaging topology" in found["queue coffee.queue"]["remedy"]
    assert "warren-messaging migrations apply coffee:service" in found["database schema"]["remedy"]
    assert shop.queues() == {}, "the checks have made no queue"
    printed = shop.run("doctor", "coffee:service")
    assert printed.returncode == 1
    assert "FAILED queue coffee.queue: does not exist\n       → apply the topology" in printed.stdout


def test_missing_rights_at_both_servers_are_named(ready: CoffeeShop) -> None:
    ready.add_user("coffee", LEAST)
    ready.management("PUT", f"topic-permissions/{ready.vhost}/coffee", TOPICS)
    ready.as_administrator("DROP ROLE IF EXISTS barista")
    ready.as_administrator(f"CREATE ROLE barista LOGIN PASSWORD '{PASSWORD}'")
    ready.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO barista")
    postgres = ready.servers.postgres.endpoint
    url = f"postgresql://barista:{PASSWORD}@{postgres.host}:{postgres.port}/{ready.database}"
    found = doctor(ready, COFFEE_DATABASE_URL=url)
    assert found["exchange events"]["detail"] == "the broker user may not publish coffee.served"
    assert "INSERT on outbox" in found["database rights"]["detail"]
    assert found["arguments of coffee.queue"]["state"] == "unknown"
    assert not_ok(found).keys() == {
        "exchange events",
        "database rights",
        "arguments of coffee.queue",
        "arguments of coffee.dlq",
    }
    ready.add_user("coffee", WITHOUT_A_RIGHT)
    assert doctor(ready)["queue coffee.queue"]["detail"] == "the broker user may not read it"


TOPICS = {"exchange": "events", "write": r"^coffee\.ordered$", "read": "^$"}


def test_unsuitable_arguments_and_missing_bindings_are_named(shop: CoffeeShop) -> None:
    shop.run("topology", "coffee:service", "--declare")
    for name, arguments in (
        (
            "coffee.queue",
            {"x-delayed-retry-type": "all", "x-delivery-limit": 3, "x-dead-letter-exchange": "events.dlx"},
        ),
        ("coffee.dlq", {}),
    ):
        shop.management("DELETE", f"queues/{shop.vhost}/{name}")
        quorum = {"x-queue-type": "quorum"}
        shop.management("PUT", f"queues/{shop.vhost}/{name}", {"durable": True, "arguments": quorum | arguments})
    found = not_ok(doctor(shop, *with_management(shop)))
    wrong = found["arguments of coffee.queue"]
    for argument in ("x-delayed-retry-type is all", "x-delivery-limit is 3", "x-dead-letter-strategy is missing"):
        assert argument in wrong
    assert "no queue is bound to 'events.dlx'" in found["parking lot of coffee.queue"]
    assert "no binding for coffee.ordered" in found["bindings of coffee.queue"]
    without = not_ok(doctor(shop))
    assert "x-delivery-limit is missing, not -1" in without["arguments of coffee.dlq"]
    assert "arguments of coffee.queue" in without


def test_a_policy_and_other_bindings_count_as_well(ready: CoffeeShop) -> None:
    arguments = ready.queues()["coffee.queue"]
    by_policy = {name.removeprefix("x-"): arguments.pop(name) for name in list(arguments) if "retry" in name}
    ready.management("DELETE", f"queues/{ready.vhost}/coffee.queue")
    ready.management("PUT", f"queues/{ready.vhost}/coffee.queue", {"durable": True, "arguments": arguments})
    policy = {"pattern": r"^coffee\.queue$", "apply-to": "quorum_queues", "definition": by_policy}
    ready.management("PUT", f"policies/{ready.vhost}/retry", policy)
    for source, key in (("events", "coffee.*"), ("redrive.exchange", "coffee.queue")):
        ready.management("POST", f"bindings/{ready.vhost}/e/{source}/q/coffee.queue", {"routing_key": key})
    path = f"queues/{ready.vhost}/coffee.queue"
    wait_until(lambda: ready.management("GET", path).get("policy") == "retry", "the API does not show the policy")
    assert not_ok(doctor(ready, *with_management(ready))) == {}


def test_another_user_waiting_events_and_refused_logins_are_named(ready: CoffeeShop) -> None:
    ready.add_user("tea", ALL)
    ready.sql(
        "INSERT INTO outbox (exchange, body, owner, leased_until, created_at, last_error)"
        " VALUES ('events', '', gen_random_uuid(), now(), now() - interval '5 minutes', 'no queue took it')"
    )
    found = not_ok(doctor(ready, COFFEE_BROKER_URL=ready.broker_url("tea")))
    assert found.keys() == {"sender", "outbox"}
    assert "only from the user 'coffee'" in found["sender"]
    assert found["outbox"].endswith(": no queue took it")
    refused = not_ok(
        doctor(
            ready,
            COFFEE_BROKER_URL=ready.broker_url(password="wrong"),
            COFFEE_DATABASE_URL="postgresql://coffee:secret@127.0.0.1:1/coffee",
        )
    )
    assert refused.keys() == {"broker connection", "database connection"}
    assert "refused the user 'coffee'" in refused["broker connection"]
    assert not_ok(doctor(ready, COFFEE_BROKER_URL=None)) == {"settings": "COFFEE_BROKER_URL is not set"}
    assert (
        "needs the tag"
        in not_ok(doctor(ready, "--management-url", ready.servers.broker.endpoints.management_url))["management API"]
    )


def test_a_broker_that_blocks_publishers_does_not_block_the_doctor(ready: CoffeeShop) -> None:
    broker = ready.servers.broker
    broker.rabbitmqctl("set_vm_memory_high_watermark", "0")
    try:
        found = not_ok(doctor(ready))
    finally:
        broker.rabbitmqctl("set_vm_memory_high_watermark", "0.6")
    assert found == {"broker answers": "none within 5 s"}
