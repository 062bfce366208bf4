"""The simulated gateway fulfils the contract of PaymentGateway, as its ledger shows."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from services.payment.domain import Blocked, Charged, Declined, Refunded, Voided
from services.payment.gateway import ChargeKeyReused, ConfirmationPending, GatewayError
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.simulator.store import ChargeLedger, ChargeRecord
from tests.service_replica import ServiceDatabase
from warren_messaging.postgres.database import DatabaseAddress


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)


async def booked(db: ServiceDatabase, key: str) -> list[int]:
    rows = await db.sql("SELECT amount_cents FROM gateway.entries WHERE key = $1 ORDER BY kind", key)
    return [row[0] for row in rows]


async def charge(gateway: SimulatedGateway, key: str, token: str = "tok_ok") -> Any:  # noqa: S107
    return await gateway.charge(key, 700, "EUR", token)


async def test_a_key_is_charged_once_and_has_one_result(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str
) -> None:
    first = await charge(gateway, key)
    assert isinstance(first, Charged)
    assert await charge(gateway, key) == first
    assert await booked(db, key) == [700]


async def test_concurrent_charges_of_one_key_charge_it_once(
    db: ServiceDatabase, gateway: SimulatedGateway, other_gateway: SimulatedGateway, key: str
) -> None:
    keys = [f"{key}-{number}" for number in range(20)]
    calls = [charge(each, name) for name in keys for each in (gateway, other_gateway, gateway)]
    answers = await asyncio.gather(*calls)
    assert len({answer.charge_id for answer in answers}) == len(keys)
    for name in keys:
        assert await booked(db, name) == [700]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_of_a_stranger", "invalid_token"),
    ],
)
async def test_a_declined_charge_stays_declined_after_a_void(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str, token: str, code: str
) -> None:
    assert await charge(gateway, key, token) == Declined(code)
    assert await charge(gateway, key, token) == Declined(code)
    assert await gateway.void(key) == Voided()
    assert await charge(gateway, key, token) == Declined(code)
    assert await booked(db, key) == []


async def test_the_flaky_token_fails_twice_and_then_charges(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str
) -> None:
    for _ in range(2):
        with pytest.raises(GatewayError, match="503"):
            await charge(gateway, key, "tok_flaky")
    assert await booked(db, key) == []
    assert isinstance(await charge(gateway, key, "tok_flaky"), Charged)
    assert await booked(db, key) == [700]


async def test_the_charge_of_a_lost_response_is_found_by_the_next_call(db: ServiceDatabase, key: str) -> None:
    gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=0.5)
    with pytest.raises(GatewayError, match="no answer within"):
        await charge(gateway, key, "tok_lost_answer")
    assert await booked(db, key) == [700]
    assert isinstance(await charge(gateway, key, "tok_lost_answer"), Charged)
    assert await booked(db, key) == [700]
    await gateway.close()


async def test_the_timeout_token_never_responds_and_never_charges(db: ServiceDatabase, key: str) -> None:
    gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=0.1)
    for _ in range(2):
        with pytest.raises(GatewayError, match=r"no answer within 0\.1 s"):
            await charge(gateway, key, "tok_timeout")
    assert await booked(db, key) == []
    await gateway.close()


async def test_a_charge_waits_for_the_customer(db: ServiceDatabase, gateway: SimulatedGateway, key: str) -> None:
    with pytest.raises(ConfirmationPending):
        await charge(gateway, key, "tok_confirm")
    with pytest.raises(ConfirmationPending):
        await charge(gateway, key, "tok_confirm")
    await db.sql("UPDATE gateway.charges SET confirmed_at = now() WHERE key = $1 AND confirmed_at > now()", key)
    assert isinstance(await charge(gateway, key, "tok_confirm"), Charged)
    assert await booked(db, key) == [700]


async def test_the_simulated_customer_confirms_after_two_seconds(
    db: ServiceDatabase, gateway: SimulatedGateway
) -> None:
    waits = {}
    for token in ("tok_confirm", "tok_abandoned"):
        name = secrets.token_hex(8)
        with pytest.raises(ConfirmationPending):
            await charge(gateway, name, token)
        [row] = await db.sql(
            "SELECT extract(epoch FROM confirmed_at - created_at) FROM gateway.charges WHERE key = $1", name
        )
        waits[token] = float(row[0])
    assert waits["tok_confirm"] == 2
    assert waits["tok_abandoned"] > 10 * 365 * 86400


async def test_a_void_refunds_a_charge_once(
    db: ServiceDatabase, gateway: SimulatedGateway, other_gateway: SimulatedGateway, key: str
) -> None:
    charged = await charge(gateway, key)
    answers = await asyncio.gather(*(each.void(key) for each in (gateway, other_gateway, gateway)))
    assert answers == [Refunded(charged.charge_id, 700, "EUR")] * 3
    assert await booked(db, key) == [700, -700]
    assert await charge(gateway, key) == Blocked()
    assert await booked(db, key) == [700, -700]


@pytest.mark.parametrize("token", ["tok_ok", "tok_abandoned", "tok_flaky", "tok_lost_answer"])
async def test_a_voided_key_cannot_be_charged(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str, token: str
) -> None:
    assert await gateway.void(key) == Voided()
    assert await charge(gateway, key, token) == Blocked()
    assert await gateway.void(key) == Voided()
    assert await booked(db, key) == []


@pytest.mark.parametrize("token", ["tok_abandoned", "tok_confirm", "tok_flaky"])
async def test_a_pending_charge_is_prevented_by_a_void(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str, token: str
) -> None:
    with pytest.raises((ConfirmationPending, GatewayError)):
        await charge(gateway, key, token)
    assert await gateway.void(key) == Voided()
    assert await charge(gateway, key, token) == Blocked()
    assert await booked(db, key) == []


async def test_no_money_is_kept_after_concurrent_charges_and_voids(
    db: ServiceDatabase, gateway: SimulatedGateway, other_gateway: SimulatedGateway, key: str
) -> None:
    keys = [f"{key}-{number}" for number in range(150)]

    async def each(call: Any, names: list[str]) -> list[Any]:
        return await asyncio.gather(*(call(name) for name in names))

    _, voids = await asyncio.gather(
        each(lambda name: charge(gateway, name), keys), each(other_gateway.void, keys[::-1])
    )
    sums = await db.sql(
        "SELECT count(DISTINCT key), coalesce(sum(amount_cents), 0), count(*) FROM gateway.entries WHERE key LIKE $1",
        f"{key}-%",
    )
    refunded = sum(isinstance(answer, Refunded) for answer in voids)
    assert tuple(sums[0]) == (refunded, 0, 2 * refunded)


async def test_another_amount_with_the_same_key_is_refused(gateway: SimulatedGateway, key: str) -> None:
    await charge(gateway, key)
    with pytest.raises(ChargeKeyReused):
        await gateway.charge(key, 701, "EUR", "tok_ok")


async def test_concurrent_calls_share_statements(
    db: ServiceDatabase, gateway: SimulatedGateway, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await charge(gateway, key)
    statements = 0
    original = ChargeLedger._records

    async def counted(self: ChargeLedger, statement: str, *arguments: object) -> Mapping[str, ChargeRecord]:
        nonlocal statements
        statements += 1
        return await original(self, statement, *arguments)

    monkeypatch.setattr(ChargeLedger, "_records", counted)
    await asyncio.gather(*(charge(gateway, f"{key}-{number}") for number in range(200)))
    assert statements <= 3


async def test_the_simulated_latency_does_not_serialize_calls(db: ServiceDatabase, key: str) -> None:
    gateway = SimulatedGateway(db.address("gateway"), latency_seconds=0.2)
    await charge(gateway, key)
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(charge(gateway, f"{key}-{number}") for number in range(50)))
    assert 0.2 <= asyncio.get_running_loop().time() - started < 2
    await gateway.close()


async def test_an_unreachable_ledger_is_a_gateway_error(db: ServiceDatabase, key: str) -> None:
    address = db.address("gateway")
    away = SimulatedGateway(DatabaseAddress(address.url.replace(db.name, "nowhere"), address.password_file, None))
    with pytest.raises(GatewayError, match="not available"):
        await charge(away, key)
    await away.close()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("payment", "SELECT * FROM gateway.charges"),
        ("payment", "INSERT INTO gateway.entries (key, kind, amount_cents) VALUES ('x', 'charge', 1)"),
        ("gateway", "SELECT * FROM payment.payments"),
        ("gateway", "DELETE FROM entries"),
        ("gateway", "UPDATE entries SET amount_cents = 0"),
        ("gateway", "DELETE FROM charges"),
    ],
)
async def test_the_ledger_belongs_to_the_gateway_and_is_append_only(
    db: ServiceDatabase, role: str, statement: str
) -> None:
    async with db.connection(role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
