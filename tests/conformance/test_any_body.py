"""Random and malformed bodies at every service, between valid events: real handlers, real database."""

import json
import random
import resource
import sys
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.service_harnesses import STATE_TABLES, ServiceHarnesses, service_harnesses
from tests.conformance.test_every_event import CONSUMED, GOLDEN
from tests.conftest import SEED
from tests.service_replica import ServiceDatabase
from warren_messaging import Codec, Verdict, encode
from warren_messaging.testing import with_new_ids

ROUNDS = 6
GOOD, BAD = 8, 60  # messages in each round
MAX_MEMORY = 256 * 1024 * 1024  # bytes of growth
RETRIABLE = ("unknown order", "has yet to confirm", "no answer within", "the gateway failed")
"""Reasons of failures that a later attempt may not have; these messages are retried."""

VALUES = (
    *(b"null true false 0 -1 -5 1.5 -0.0 1e400 NaN [] {} [null] [[[[]]]] 2147483648 -2147483649".split()),
    *(str(2**power + more).encode() for power in (53, 63, 64, 200) for more in (-1, 0, 1)),
    *(
        b'"' + text + b'"'
        for text in (b"", b" ", b"a\\u0000b", b"a\\nb", b"\\u001b[2J", b"\\u0085", b"\\u202e", b"***")
    ),
    *(
        b'"' + text + b'"'
        for text in (b"\\ud800", b"\\udc00a", b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"'; DROP TABLE x")
    ),
    *(b'"' + text + b'"' for text in (b"x" * 256, b"x" * 70_000, "\U0001f600".encode() * 5_000, b"\\u0041" * 9_000)),
    *(b'"' + text + b'"' for text in (b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-01-02")),
    b'"00000000-0000-0000-0000-000000000000"',
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" * 100_000 + b"]" * 100_000,
)


@pytest.mark.parametrize("service", STATE_TABLES)
async def test_4_any_body_is_processed_or_parked_with_a_reason_and_events_beside_it_are_processed(
    services_db: ServiceDatabase, service: str
) -> None:
    rng = random.Random(f"{SEED} {service}")
    before = _peak_memory()
    async with service_harnesses(services_db, service) as services:
        await services.stock(mug=10**6, item1=10**6)
        harness = services.by_name[service]
        for _ in range(ROUNDS):
            good = [await fresh(services, service, rng) for _ in range(GOOD)]
            bad = [mutated(encode(await fresh(services, service, rng)), rng) for _ in range(BAD)]
            mixed: list[AnyEvent | bytes] = [*good, *bad]
            rng.shuffle(mixed)
            attempts = await harness.deliver(*mixed)
            done = {each.event.id for each in attempts if each.event and each.verdict is Verdict.ACK}
            assert {event.id for event in good} <= done
            assert sum(each.verdict is not Verdict.RETRY for each in attempts) == len(mixed)
            retried = {each.reason or "" for each in attempts if each.verdict is Verdict.RETRY}
            assert {reason for reason in retried if not any(known in reason for known in RETRIABLE)} == set()
        assert len(harness.parked) > ROUNDS * BAD / 10
        assert all(message.reason for message in harness.parked)
        recorded = await services_db.sql(f"SELECT count(*) FROM \"{service}\".failures WHERE state = 'parked'")  # noqa: S608
        assert recorded[0][0] == len({_key(message) for message in harness.parked})
        for message in harness.messages:
            Codec(CATALOGUE).decode(message.body)  # other services can read every announced event
    assert _peak_memory() - before < MAX_MEMORY


async def fresh(services: ServiceHarnesses, service: str, rng: random.Random) -> AnyEvent:
    """An event that the service consumes, about a new order."""
    golden = Codec(CATALOGUE).decode((GOLDEN / f"{rng.choice(CONSUMED[service])}.json").read_bytes())
    event = msgspec.structs.replace(with_new_ids(golden), subject=uuid4())
    if service == "order":
        await services.place(event.subject)
    return event


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Return the event with one or two defects, or bytes that are no event."""
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.choice((0, 1, 50, 5000)))
        case 1:
            return rng.choice(VALUES)
        case 2:
            at = rng.randrange(len(body))
            return body[:at] + rng.choice((b"", b"\xff", b"\x00", b'"', b"\\", rng.randbytes(1))) + body[at + 1 :]
        case 3:
            return body[: rng.randrange(len(body))]
    whole = json.loads(body)
    values = {}
    for number in range(rng.randint(1, 2)):
        owner = rng.choice(_owners(whole))
        name = rng.choice(
            [*(owner if isinstance(owner, dict) else range(len(owner))), *(["strange"] * isinstance(owner, dict))]
        )
        if rng.random() < 0.15 and name != "strange":
            del owner[name]
        else:
            owner[name] = f"@{number}@"
            values[f'"@{number}@"'.encode()] = rng.choice(VALUES)
    text = json.dumps(whole).encode()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    if rng.random() < 0.1:  # a duplicate member
        text = text.replace(b"{", b'{"data": %b, ' % rng.choice(VALUES), 1)
    return text


def _owners(value: Any) -> list[Any]:
    """Every object and list within `value` that has members."""
    if not isinstance(value, (dict, list)) or not value:
        return []
    members = value.values() if isinstance(value, dict) else value
    return [value, *(owner for member in members for owner in _owners(member))]


def _key(message: Any) -> object:
    return message.event.logicalid if message.event else message.body


def _peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
