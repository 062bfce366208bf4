"""`warren-messaging topology` at a real broker: the three forms make the same objects, which the service can use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.coffee_shop import ALL, PASSWORD, CoffeeShop

REPOSITORY = Path(__file__).resolve().parents[4]


def broker_topology(shop: CoffeeShop, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broker_topology", *arguments],
        cwd=shop.folder,
        env={"PYTHONPATH": str(REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )


def at_broker(shop: CoffeeShop) -> list[str]:
    """Options with which broker-topology works at the broker as the administrator."""
    broker = shop.servers.broker.endpoints
    (shop.folder / "admin.password").write_text(broker.admin_password)
    login = ["--username", broker.admin_username, "--password-file", "admin.password"]
    return ["--url", broker.management_url, "--ca-file", str(broker.ca_file), *login]


def write_topology(shop: CoffeeShop) -> None:
    (shop.folder / "topology.yaml").write_text(shop.run("topology", "coffee:service").stdout)


def objects(shop: CoffeeShop) -> dict[str, Any]:
    """What the virtual host holds, without the exchanges that the broker makes itself."""
    found = shop.management("GET", f"definitions/{shop.vhost}")
    return {
        kind: sorted(found[kind], key=lambda each: json.dumps(each, sort_keys=True))
        for kind in ("exchanges", "queues", "bindings")
    }


def test_declaring_makes_what_the_topology_describes(shop: CoffeeShop) -> None:
    write_topology(shop)
    declared = shop.run("topology", "coffee:service", "--declare")
    assert (declared.returncode, declared.stderr) == (0, "")
    assert declared.stdout.endswith(f"/{shop.vhost}: 4 exchanges, 3 queues, 4 bindings\n")
    planned = broker_topology(shop, "plan", "topology.yaml", *at_broker(shop))
    # Only the user's rights differ: declaring makes no users, and the tutorial's user may do everything.
    changes = [line.strip() for line in planned.stdout.splitlines()]
    assert not [line for line in changes if any(word in line for word in ("exchange ", "queue ", "binding "))], changes
    again = shop.run("topology", "coffee:service", "--declare")
    assert (again.returncode, again.stdout) == (0, declared.stdout)


def test_definitions_import_at_a_broker_and_equal_what_is_declared(shop: CoffeeShop) -> None:
    definitions = json.loads(shop.run("topology", "coffee:service", "--format", "definitions").stdout)
    assert definitions["vhosts"] == [{"name": shop.vhost}]
    shop.management("POST", "definitions", definitions)
    imported = objects(shop)
    assert {each["name"] for each in imported["queues"]} == {"coffee.queue", "coffee.dlq", "unrouted.queue"}
    shop.management("DELETE", f"vhosts/{shop.vhost}")
    shop.management("PUT", f"vhosts/{shop.vhost}", {})
    shop.add_user("coffee", ALL)
    assert shop.run("topology", "coffee:service", "--declare").returncode == 0
    admin = shop.servers.broker.endpoints.admin_username
    shop.management("PUT", f"permissions/{shop.vhost}/{admin}", ALL)
    assert objects(shop) == imported


def test_the_topology_passes_check_and_apply_and_its_user_can_work(shop: CoffeeShop) -> None:
    write_topology(shop)
    checked = broker_topology(shop, "check", "--strict", "topology.yaml")
    assert (checked.returncode, checked.stderr) == (0, "")
    secret = shop.folder / "secrets" / "coffee-rabbitmq"
    secret.mkdir(parents=True)
    (secret / "username").write_text("coffee")
    (secret / "password").write_text(PASSWORD)
    options = ["--secrets-dir", "secrets", "--wait", "20", *at_broker(shop)]
    applied = broker_topology(shop, "apply", "topology.yaml", *options)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    shop.run("migrations", "apply", "coffee:service")
    shop.sql("CREATE TABLE served (order_id uuid NOT NULL, cups integer NOT NULL)")
    report = json.loads(shop.run("doctor", "coffee:service", "--json").stdout)
    assert {each["check"]: each["state"] for each in report if each["state"] != "ok"} == {
        "arguments of coffee.dlq": "unknown",
        "arguments of coffee.queue": "unknown",
    }


def test_a_queue_with_other_arguments_is_reported_in_words_and_stays(shop: CoffeeShop) -> None:
    path = f"queues/{shop.vhost}/coffee.queue"
    shop.management("PUT", path, {"durable": True, "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 7}})
    done = shop.run("topology", "coffee:service", "--declare")
    assert done.returncode == 1
    report = (
        "queue 'coffee.queue' exists with another x-dead-letter-exchange: none, needed is events.dlx; it stays as it is"
    )
    assert report in done.stderr
    assert "argumentChange: Migrate" in done.stderr
    assert shop.queues()["coffee.queue"] == {"x-queue-type": "quorum", "x-delivery-limit": 7}
    assert shop.queues().keys() == {"coffee.queue", "coffee.dlq", "unrouted.queue"}, "the others are declared"


def test_declaring_without_the_permission_is_one_line(shop: CoffeeShop) -> None:
    shop.add_user("coffee", ALL | {"configure": "^$"})
    done = shop.run("topology", "coffee:service", "--declare")
    assert done.returncode == 78
    assert done.stderr.startswith("warren-messaging: broker user 'coffee' lacks a permission: ")
    assert len(done.stderr.splitlines()) == 1
    broker = shop.servers.broker.endpoints
    url = shop.broker_url(broker.admin_username, broker.admin_password)
    assert shop.run("topology", "coffee:service", "--declare", "--broker-url", url).returncode == 78, "no CA"
    options = ["--broker-url", url, "--ca-file", str(broker.ca_file)]
    assert shop.run("topology", "coffee:service", "--declare", *options).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vhost", "other", "--declare"], "--vhost is for documents"),
        (["--ca-file", "ca.pem"], "--broker-url, --credentials and --ca-file are for --declare"),
        (["--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(shop: CoffeeShop, options: list[str], message: str) -> None:
    done = shop.run("topology", "coffee:service", *options)
    assert done.returncode == 2
    assert message in done.stderr
