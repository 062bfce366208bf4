"""The examples of docs/messaging.md and docs/messaging run, and their settings and limits are those of the code."""

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import warren_messaging as messaging
from warren_messaging import ConsumerSettings, RelaySettings, RetentionSettings, RetryPolicy
from warren_messaging.amqp import publisher
from warren_messaging.consumer import batch, effects
from warren_messaging.consumer import consumer as consuming
from warren_messaging.postgres import database as databases
from warren_messaging.postgres import rate_limit

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "messaging"
PAGES = {file.stem: file.read_text() for file in DOCS.glob("*.md")}
INDEX = (ROOT / "docs" / "messaging.md").read_text()
LIMITS = PAGES["settings"].split("## Limits")[1]


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


async def test_the_first_example_passes_the_test_of_the_testing_page() -> None:
    written: dict[str, Any] = {}
    exec(blocks(INDEX)[0], written)  # noqa: S102 - a page of this repository
    exec(blocks(PAGES["testing"])[0], written)  # noqa: S102
    await written["test_a_paid_order_earns_points"]()


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {"reference"}))  # has signatures alone
def test_every_example_is_python(name: str) -> None:
    for block in blocks(PAGES[name]):
        compile(block, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_saga_page_shows_the_example() -> None:
    assert blocks(PAGES["sagas"]) == [(ROOT / "docs" / "examples" / "library" / "seats.py").read_text()]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_index_links_every_page(name: str) -> None:
    assert f"](messaging/{name}.md)" in INDEX


@pytest.mark.parametrize(
    "kind", [ConsumerSettings, RelaySettings, RetryPolicy, RetentionSettings], ids=lambda kind: kind.__name__
)
def test_every_setting_is_listed_with_its_default(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        if not field.required:
            assert f"| `{kind.__name__}.{field.name}` | {field.default} |" in PAGES["settings"]


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
    assert f"| waiting for a slot of a rate limit | {rate_limit.MAX_WAIT:.0f} s;" in LIMITS
    assert f"| confirm | {publisher.CONFIRM_TIMEOUT:.0f} s," in LIMITS
    assert f"| any other answer of the broker | {consuming.RPC_TIMEOUT:.0f} s |" in LIMITS
    assert f"grow for {consuming.GATHERING_SECONDS * 1000:.0f} ms" in PAGES["guarantees"]


def test_each_guarantee_has_named_tests() -> None:
    names = [
        name
        for folder in ("tests/conformance", "tests/integration/messaging")
        for file in (ROOT / folder).rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    ]
    numbered = {int(match[1]) for name in names if (match := re.match(r"test_(\d)_", name))}
    assert numbered == set(range(1, 8))
