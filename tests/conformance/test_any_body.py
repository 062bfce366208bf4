"""Bodies of any kind at every service: real handlers, real database. Nothing loops, and no neighbour is harmed."""

import asyncio
import json
import random
import resource
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from devtools.servers.servers import Servers
from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.shop import TABLES as SERVICES
from tests.conformance.shop import Shop, opened
from tests.conformance.test_every_event import GOLDEN, TAKES
from tests.conftest import SEED
from tests.service_replica import ServiceDatabase
from warren_messaging import Codec, Verdict, encode
from warren_messaging.testing import with_new_ids

ROUNDS = 6
GOOD, BAD = 8, 60  # messages in a round
MAX_MEMORY = 256 * 1024 * 1024  # bytes more than before
BY_DESIGN = ("unknown order", "has yet to confirm", "no answer within", "the gateway failed")
"""What may become true later: those are tried again."""

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


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare(*SERVICES, "gateway"))
    yield db


@pytest.mark.parametrize("service", SERVICES)
async def test_4_any_body_is_processed_or_parked_with_its_reason_and_its_neighbours_pass(
    db: ServiceDatabase, service: str
) -> None:
    chance = random.Random(f"{SEED} {service}")
    before = _most_memory()
    async with opened(db, service) as shop:
        await shop.stock(mug=10**6, item1=10**6)
        rehearsal = shop.services[service]
        for _ in range(ROUNDS):
            good = [await fresh(shop, service, chance) for _ in range(GOOD)]
            bad = [mutated(encode(await fresh(shop, service, chance)), chance) for _ in range(BAD)]
            mixed: list[AnyEvent | bytes] = [*good, *bad]
            chance.shuffle(mixed)
            attempts = await rehearsal.deliver(*mixed)
            done = {each.event.id for each in attempts if each.event and each.verdict is Verdict.ACK}
            assert {event.id for event in good} <= done
            ends = [each for each in attempts if each.verdict is not Verdict.RETRY]
            assert len(ends) == len(mixed)
            retried = {each.reason or "" for each in attempts if each.verdict is Verdict.RETRY}
            assert {reason for reason in retried if not any(known in reason for known in BY_DESIGN)} == set()
        assert len(rehearsal.parked) > ROUNDS * BAD / 10
        assert all(lost.reason for lost in rehearsal.parked)
        recorded = await db.sql(f"SELECT count(*) FROM \"{service}\".failures WHERE state = 'parked'")  # noqa: S608
        assert recorded[0][0] == len({_key(lost) for lost in rehearsal.parked})
        for message in rehearsal.messages:
            Codec(CATALOGUE).decode(message.body)  # what is announced can be read by others
    assert _most_memory() - before < MAX_MEMORY


async def fresh(shop: Shop, service: str, chance: random.Random) -> AnyEvent:
    """An event that the service takes, about an order of its own."""
    golden = Codec(CATALOGUE).decode((GOLDEN / f"{chance.choice(TAKES[service])}.json").read_bytes())
    event = msgspec.structs.replace(with_new_ids(golden), subject=uuid4())
    if service == "order":
        await shop.place(event.subject, str(event.subject))
    return event


def mutated(body: bytes, chance: random.Random) -> bytes:
    """The event with something wrong in one or two places, or something else altogether."""
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.choice((0, 1, 50, 5000)))
        case 1:
            return chance.choice(VALUES)
        case 2:
            at = chance.randrange(len(body))
            return body[:at] + chance.choice((b"", b"\xff", b"\x00", b'"', b"\\", chance.randbytes(1))) + body[at + 1 :]
        case 3:
            return body[: chance.randrange(len(body))]
    whole = json.loads(body)
    values = {}
    for number in range(chance.randint(1, 2)):
        owner = chance.choice(_owners(whole))
        name = chance.choice(
            [*(owner if isinstance(owner, dict) else range(len(owner))), *(["strange"] * isinstance(owner, dict))]
        )
        if chance.random() < 0.15 and name != "strange":
            del owner[name]
        else:
            owner[name] = f"@{number}@"
            values[f'"@{number}@"'.encode()] = chance.choice(VALUES)
    text = json.dumps(whole).encode()
    for place, value in values.items():
        text = text.replace(place, value)
    if chance.random() < 0.1:  # a member that is there twice
        text = text.replace(b"{", b'{"data": %b, ' % chance.choice(VALUES), 1)
    return text


def _owners(value: Any) -> list[Any]:
    """Every object and list in it that has members."""
    if not isinstance(value, (dict, list)) or not value:
        return []
    members = value.values() if isinstance(value, dict) else value
    return [value, *(owner for member in members for owner in _owners(member))]


def _key(lost: Any) -> object:
    return lost.event.logicalid if lost.event else lost.body


def _most_memory() -> int:
    """Bytes that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
