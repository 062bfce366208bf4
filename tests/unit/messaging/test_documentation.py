"""The examples of docs/messaging.md run, and its settings and limits are those of the code."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import warren_messaging as messaging
from services.shared.contracts.orders import OrderCompleted, OrderPaid
from warren_messaging import ConsumerSettings, RelaySettings, RetentionSettings, RetryPolicy
from warren_messaging.amqp import publisher
from warren_messaging.consumer import batch, effects
from warren_messaging.consumer import consumer as consuming
from warren_messaging.postgres import database as databases
from warren_messaging.testing import ConsumerHarness

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "messaging.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LIMITS = TEXT.split("## Limits")[1].split("\n## ")[0]


async def test_the_first_example_works_in_ten_lines() -> None:
    first = BLOCKS[0]
    assert len([line for line in first.splitlines() if line]) <= 10
    written: dict[str, Any] = {}
    exec(first, written)  # noqa: S102 - a page of this repository
    rehearsal = ConsumerHarness(written["HANDLERS"])
    await rehearsal.deliver(OrderPaid(customer="ada", total_cents=100, currency="EUR"))
    assert rehearsal.announced == [OrderCompleted(customer="ada")]
    testing = next(block for block in BLOCKS if "ConsumerHarness(HANDLERS)" in block)
    assert 'OrderPaid(customer="ada", total_cents=100, currency="EUR")' in testing


@pytest.mark.parametrize(
    "kind", [ConsumerSettings, RelaySettings, RetryPolicy, RetentionSettings], ids=lambda kind: kind.__name__
)
def test_every_setting_is_listed_with_its_default(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        if not field.required:
            assert f"| `{kind.__name__}.{field.name}` | {field.default} |" in TEXT


def test_limits_are_those_of_the_code() -> None:
    assert f"| body | {messaging.MAX_BODY // 1024**2} MiB;" in LIMITS
    assert (
        f"| transaction | {batch.TRANSACTION_TIMEOUT:.0f} s; a statement {databases.STATEMENT_TIMEOUT:.0f} s;"
        f" waiting for a lock {databases.LOCK_TIMEOUT} s |"
    ) in LIMITS
    assert f"one by one | {batch.BATCH_TIMEOUT:.0f} s;" in LIMITS
    assert f"| an idle transaction | {databases.IDLE_TIMEOUT} s," in LIMITS
    version = databases.TRANSACTION_TIMEOUT_SINCE
    assert f"as the database sees it | {databases.MAX_TRANSACTION} s (PostgreSQL {version} or" in LIMITS
    idle, interval, count = map(int, databases.KEEPALIVE.values())
    assert f"client has vanished | {idle + interval * count} s," in LIMITS
    assert f"| effect's call | {effects.EFFECT_TIMEOUT:.0f} s |" in LIMITS
    assert f"| confirm | {publisher.CONFIRM_TIMEOUT:.0f} s," in LIMITS
    assert f"| any other answer of the broker | {consuming.RPC_TIMEOUT:.0f} s |" in LIMITS
    assert f"grow for {consuming.GATHERING_SECONDS * 1000:.0f} ms" in TEXT


def test_each_guarantee_has_named_tests() -> None:
    names = [
        name
        for folder in ("tests/conformance", "tests/integration/messaging")
        for file in (ROOT / folder).rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    ]
    numbered = {int(match[1]) for name in names if (match := re.match(r"test_(\d)_", name))}
    assert numbered == set(range(1, 8))


def test_linked_headings_exist() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)$", TEXT, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
