"""The commands of `warren` in the runbooks work on a real system, with the variables that the index names."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from devtools.local.topology import VHOST
from faults.harness import eventually
from tests.rules.test_runbooks import WARREN
from tests.rules.watched_shop import WatchedShop

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

LOCAL = ("status", "logs", "restart")
"""Commands for `make up` only: tests/system/test_watch.py runs them."""
MAY_FAIL = ("warren order confirm", "warren schedule cancel", "warren dlq drop --id")
"""Commands about one thing, which may have gone: exit code 1 with a message."""
ASKS = "warren dlq drop"
"""Asks before it removes messages; with an option it needs no terminal."""
LINES = sorted({re.split(r" [|>&]", line)[0] for _, line in WARREN})
LINES = [line for line in LINES if "--follow" not in line and line.split()[1] not in LOCAL]
LINES.sort(key=lambda line: line.startswith(ASKS))  # last, because others need the messages


@pytest.fixture(scope="module")
def environment(shop: WatchedShop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    broker, database, folder = (
        shop.harness.servers.broker.endpoints,
        shop.harness.servers.postgres.endpoint,
        shop.harness.folder,
    )
    return os.environ | {
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),  # copies of dropped messages
        "WARREN_URL": shop.harness.url("order-api"),
        "WARREN_AUDIT_URL": shop.harness.url("audit"),
        "WARREN_PROMETHEUS_URL": shop.prometheus.api.url,
        "WARREN_BROKER_URL": f"amqps://{broker.host}:{broker.amqps_port}/{VHOST}",
        "WARREN_MANAGEMENT_URL": broker.management_url,
        "WARREN_BROKER_CREDENTIALS": str(shop.harness.secrets / "dlq-rabbitmq"),
        "WARREN_BROKER_CA_FILE": str(broker.ca_file),
        "WARREN_DATABASE_URL": f"postgresql://postgres@{database.host}:{database.port}/{database.database}",
        "WARREN_DATABASE_PASSWORD_FILE": str(folder / "secrets" / "postgres-admin"),
        "WARREN_DATABASE_CA_FILE": str(database.ca_file),
    }


@pytest.fixture(scope="module")
def words(shop: WatchedShop, environment: dict[str, str]) -> dict[str, str]:
    """Values of the words in capitals: an order, a parked message, and a type of events."""
    order_id = shop.order(orderId="runbook-1").json()["id"]
    shop.harness.put_messages([("payment.queue", b"not an event")])
    eventually(lambda: shop.harness.queue_depth("payment.dlq"))
    listed = run("warren dlq list --json", environment)
    assert listed.returncode == 0, listed.stderr
    message = json.loads(listed.stdout.splitlines()[0])
    identity = message.get("id") or message.get("message_id") or message["body_hash"]
    return {"ORDER": order_id, "ID": identity, "TYPE": "order.created"}


def run(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "warren", *shlex.split(line)[1:]]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False
    )


@pytest.mark.parametrize("line", LINES)
def test_a_command_works(line: str, environment: dict[str, str], words: dict[str, str]) -> None:
    filled = re.sub(r"\b(ORDER|ID|TYPE)\b", lambda match: words[match[1]], line)
    done = run(filled + (" --yes" if line.startswith(ASKS) else ""), environment)
    allowed = {0, 1} if line.startswith(MAY_FAIL) else {0}
    assert done.returncode in allowed, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
