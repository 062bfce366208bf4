"""Hostile messages: each can be listed, shown, dropped and replayed, without an effect on other messages."""

import base64
import hashlib
import json
import random

import pytest

from services.shared.contracts.orders import OrderConfirmed
from tests.integration.dlq.conftest import ParkingLotEnv
from tests.messaging_env import eventually
from tests.undecodable import UNDECODABLE
from warren_messaging import codec
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.testing import event_of

LARGE = 15 * 1024 * 1024  # bytes
COUNT = 6
PEAK = """
import pathlib, re, sys
from warren import cli
code = cli.load(sys.argv[1:])()
peak = int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1024
print(code, peak, file=sys.stderr)
"""


def assert_kept(found: RawProperties, sent: RawProperties) -> None:
    """Assert that the broker and the replay have added headers and changed nothing else."""
    for name in ("app_id", "timestamp", "message_type", "content_type", "correlation_id", "reply_to"):
        assert found.raw(name) == sent.raw(name)
    assert (sent.raw("headers") or b"") in (found.raw("headers") or b"")


async def park_undecodable(env: ParkingLotEnv) -> list[bytes]:
    bodies = [f"body {number}".encode() for number in range(len(UNDECODABLE))]
    await env.send_raw(*zip(bodies, UNDECODABLE.values(), strict=True), queue="probe.dlq")
    return bodies


async def test_an_undecodable_message_is_listed_with_the_others_and_shown(env: ParkingLotEnv) -> None:
    await env.park(b"before")
    bodies = await park_undecodable(env)
    await env.park(b"after")
    result = await env.warren("dlq", "list", "--queue", "probe", "--json")
    assert result.code == 0
    assert [document["undecodable"] != [] for document in result.documents] == [False, *[True] * len(bodies), False]
    result = await env.warren("dlq", "list", "--queue", "probe")
    assert f"probe.dlq  {len(bodies) + 2} messages" in result.out
    assert result.out.count("cannot be decoded: ") == len(bodies)
    result = await env.warren("dlq", "show", "", "--queue", "probe")
    assert all(body.decode() in result.out for body in bodies)
    assert result.out.count("undecodable") == len(bodies)
    documents = (await env.warren("dlq", "show", "", "--queue", "probe", "--json")).documents[1:-1]
    for body, document, properties in zip(bodies, documents, UNDECODABLE.values(), strict=True):
        assert document["body"].encode() == body
        assert_kept(RawProperties(base64.b64decode(document["properties_base64"])), properties)
    await eventually(lambda: env.has_depth("probe.dlq", len(bodies) + 2))


async def test_an_undecodable_message_is_replayed_with_its_original_bytes(env: ParkingLotEnv) -> None:
    bodies = await park_undecodable(env)
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert result.out == f"replayed {len(bodies)} of {len(bodies)} examined\n", result.err
    messages = await env.receive("probe.queue", len(bodies))
    assert [message.body for message in messages] == bodies
    for message, before in zip(messages, UNDECODABLE.values(), strict=True):
        assert_kept(message.properties, before)
        assert message.properties.header("x-warren-replays") == 1
    assert await env.depth("probe.dlq") == 0


async def test_an_undecodable_message_is_dropped_and_kept_in_full(env: ParkingLotEnv) -> None:
    bodies = await park_undecodable(env)
    result = await env.warren("dlq", "drop", "--queue", "probe", "--yes", "--json")
    (document,) = result.documents
    assert document["dropped"] == len(bodies)
    assert document["record"].startswith(str(env.folder / "state" / "warren" / "dropped"))
    with open(document["record"], encoding="utf-8") as kept:  # noqa: ASYNC230, PTH123
        documents = [json.loads(line) for line in kept]
    for document, properties in zip(documents, UNDECODABLE.values(), strict=True):
        assert_kept(RawProperties(base64.b64decode(document["properties_base64"])), properties)
    assert await env.depth("probe.dlq") == 0


async def test_a_message_with_full_headers_stays_and_others_are_replayed(env: ParkingLotEnv) -> None:
    max_payload = 131_072 - 8 - 12
    value = b"x" * (max_payload - 200)
    table = b"\x01aS" + len(value).to_bytes(4) + value
    await env.park(b"before")
    await env.send_raw((b"wide", RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)), queue="probe.dlq")
    value = b"x" * (max_payload - 6 - 7)
    table = b"\x01aS" + len(value).to_bytes(4) + value
    await env.send_raw((b"full", RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)), queue="probe.dlq")
    await env.park(b"after")
    assert len((await env.warren("dlq", "list", "--queue", "probe", "--json")).documents) == 4
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert (result.code, result.out) == (1, "replayed 3 of 4 examined\n")
    assert "too many to be published in one frame" in result.err
    assert await env.bodies("probe.queue") == [b"before", b"wide", b"after"]


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800", "a\\u001b[2J\\u202e"])
async def test_text_unfit_for_database_and_terminal_disables_no_command(text: str, env: ParkingLotEnv) -> None:
    template = json.loads(codec.encode(event_of(OrderConfirmed(customer="ann"), reference="k1")))
    await env.park(b"before")
    async with env.consumer({OrderConfirmed: None}):
        for field in ("id", "logicalid", "type", "source", "subject", "reference"):
            body = json.dumps(template | {field: "@"}).replace('"@"', f'"{text}"').encode()
            await env.send(body)
        await eventually(lambda: env.has_depth_of_at_least("probe.dlq", 6))
    result = await env.warren("dlq", "list", "--queue", "probe")
    assert (result.code, result.err) == (0, "")
    assert result.out.replace("\n", "").isprintable()
    result = await env.warren("dlq", "show", "", "--queue", "probe")
    assert (result.code, result.err) == (0, "")
    assert result.out.replace("\n", "").isprintable()
    assert (await env.warren("dlq", "replay", "--queue", "probe", "--dry-run")).code == 0
    depth = await env.depth("probe.dlq")
    result = await env.warren("dlq", "drop", "--queue", "probe", "--yes")
    assert result.out.startswith(f"dropped {depth}"), result.err


async def test_random_messages_never_break_the_commands(env: ParkingLotEnv) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    kinds = list(UNDECODABLE.values())
    for _ in range(40):
        body = rng.randbytes(rng.randrange(60))
        if rng.random() < 0.5:
            fields = {name: rng.choice(["a", "\0", 7, None, [], {}]) for name in ("id", "logicalid", "type", "subject")}
            body = json.dumps(fields).encode()
        await env.send_raw((body, rng.choice(kinds)), queue="probe.dlq")
    assert len((await env.warren("dlq", "list", "--queue", "probe", "--json", "--limit", "0")).documents) == 40
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert result.out == "replayed 40 of 40 examined\n", result.err
    assert await env.depth("probe.queue") == 40


async def test_large_messages_are_read_one_at_a_time_in_order(env: ParkingLotEnv) -> None:
    bodies = [f"{number:03}".encode() for number in range(20)]
    await env.park(*bodies[:8])
    for number in range(COUNT):
        await env.park(f"large {number:03} ".encode() + bytes(LARGE))
    await env.park(*bodies[8:])
    for command in (("list", "--limit", "1"), ("show", hashlib.sha256(b"019").hexdigest())):
        async with env.process("-c", PEAK, "dlq", *command, "--queue", "probe", pipe=True) as process:
            assert process.stderr is not None
            out, err = await process.communicate()
        code, peak = map(int, err.split()[-2:])
        assert code == 0, out
        assert peak < 75 + 3 * LARGE // 2**20, f"{command} took {peak} MB"
        await eventually(lambda: env.has_depth("probe.dlq", 20 + COUNT))
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert result.out == f"replayed {20 + COUNT} of {20 + COUNT} examined\n", result.err
    found = [message.body[:9] for message in await env.receive("probe.queue", 20 + COUNT)]
    assert found == [*bodies[:8], *(f"large {number:03}".encode() for number in range(COUNT)), *bodies[8:]]
