"""The simulated gateway fulfils the contract of PaymentGateway, as its ledger shows."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from services.payment.domain import Blocked, Charged, Declined, Refunded, Voided
from services.payment.gateway import ChargeKeyReused, ConfirmationPending, GatewayError
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.simulator.store import ChargeLedger, ChargeRecord
from tests.service_replica import ServiceDatabase
from warren_messaging.postgres.database import DatabaseAddress


@dataclass(frozen=True)
class GatewayEnv:
    """Two processes of the gateway with one ledger, and a new key."""

    db: ServiceDatabase
    gateway: SimulatedGateway
    other: SimulatedGateway
    key: str

    async def charge(self, token: str = "tok_ok", *, key: str | None = None) -> Any:  # noqa: S107
        return await self.gateway.charge(self.key if key is None else key, 700, "EUR", token)

    async def void(self) -> Any:
        return await self.gateway.void(self.key)

    async def booked(self, key: str = "") -> list[int]:
        statement = "SELECT amount_cents FROM gateway.entries WHERE key = $1 ORDER BY kind"
        return [row[0] for row in await self.db.sql(statement, key or self.key)]

    @asynccontextmanager
    async def with_gateway(self, **options: Any) -> AsyncIterator["GatewayEnv"]:
        """The same key at a further process with these options."""
        gateway = SimulatedGateway(self.db.address("gateway"), **options)
        yield replace(self, gateway=gateway)
        await gateway.close()


@pytest.fixture
def env(db: ServiceDatabase, gateways: list[SimulatedGateway]) -> GatewayEnv:
    return GatewayEnv(db, *gateways, key=secrets.token_hex(8))


async def test_a_key_is_charged_once_and_has_one_result(env: GatewayEnv) -> None:
    first = await env.charge()
    assert isinstance(first, Charged)
    assert await env.charge() == first
    assert await env.booked() == [700]


async def test_concurrent_charges_of_one_key_charge_it_once(env: GatewayEnv) -> None:
    keys = [f"{env.key}-{number}" for number in range(20)]
    gateways = (env.gateway, env.other, env.gateway)
    calls = [gateway.charge(name, 700, "EUR", "tok_ok") for name in keys for gateway in gateways]
    answers = await asyncio.gather(*calls)
    assert len({answer.charge_id for answer in answers}) == len(keys)
    for name in keys:
        assert await env.booked(name) == [700]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_of_a_stranger", "invalid_token"),
    ],
)
async def test_a_declined_charge_stays_declined_after_a_void(env: GatewayEnv, token: str, code: str) -> None:
    assert await env.charge(token) == Declined(code)
    assert await env.charge(token) == Declined(code)
    assert await env.void() == Voided()
    assert await env.charge(token) == Declined(code)
    assert await env.booked() == []


async def test_the_flaky_token_fails_twice_and_then_charges(env: GatewayEnv) -> None:
    for _ in range(2):
        with pytest.raises(GatewayError, match="503"):
            await env.charge("tok_flaky")
    assert await env.booked() == []
    assert isinstance(await env.charge("tok_flaky"), Charged)
    assert await env.booked() == [700]


async def test_the_charge_of_a_lost_response_is_found_by_the_next_call(env: GatewayEnv) -> None:
    async with env.with_gateway(timeout_seconds=0.5) as limited:
        with pytest.raises(GatewayError, match="no answer within"):
            await limited.charge("tok_lost_answer")
        assert await limited.booked() == [700]
        assert isinstance(await limited.charge("tok_lost_answer"), Charged)
        assert await limited.booked() == [700]


async def test_the_timeout_token_never_responds_and_never_charges(env: GatewayEnv) -> None:
    async with env.with_gateway(timeout_seconds=0.1) as limited:
        for _ in range(2):
            with pytest.raises(GatewayError, match=r"no answer within 0\.1 s"):
                await limited.charge("tok_timeout")
        assert await limited.booked() == []


async def test_a_charge_waits_for_the_customer(env: GatewayEnv) -> None:
    with pytest.raises(ConfirmationPending):
        await env.charge("tok_confirm")
    with pytest.raises(ConfirmationPending):
        await env.charge("tok_confirm")
    statement = "UPDATE gateway.charges SET confirmed_at = now() WHERE key = $1 AND confirmed_at > now()"
    await env.db.sql(statement, env.key)
    assert isinstance(await env.charge("tok_confirm"), Charged)
    assert await env.booked() == [700]


async def test_the_simulated_customer_confirms_after_two_seconds(env: GatewayEnv) -> None:
    waits = {}
    for token in ("tok_confirm", "tok_abandoned"):
        name = secrets.token_hex(8)
        with pytest.raises(ConfirmationPending):
            await env.charge(token, key=name)
        [row] = await env.db.sql(
            "SELECT extract(epoch FROM confirmed_at - created_at) FROM gateway.charges WHERE key = $1", name
        )
        waits[token] = float(row[0])
    assert waits["tok_confirm"] == 2
    assert waits["tok_abandoned"] > 10 * 365 * 86400


async def test_a_void_refunds_a_charge_once(env: GatewayEnv) -> None:
    charged = await env.charge()
    answers = await asyncio.gather(*(each.void(env.key) for each in (env.gateway, env.other, env.gateway)))
    assert answers == [Refunded(charged.charge_id, 700, "EUR")] * 3
    assert await env.booked() == [700, -700]
    assert await env.charge() == Blocked()
    assert await env.booked() == [700, -700]


@pytest.mark.parametrize("token", ["tok_ok", "tok_abandoned", "tok_flaky", "tok_lost_answer"])
async def test_a_voided_key_cannot_be_charged(env: GatewayEnv, token: str) -> None:
    assert await env.void() == Voided()
    assert await env.charge(token) == Blocked()
    assert await env.void() == Voided()
    assert await env.booked() == []


@pytest.mark.parametrize("token", ["tok_abandoned", "tok_confirm", "tok_flaky"])
async def test_a_pending_charge_is_prevented_by_a_void(env: GatewayEnv, token: str) -> None:
    with pytest.raises((ConfirmationPending, GatewayError)):
        await env.charge(token)
    assert await env.void() == Voided()
    assert await env.charge(token) == Blocked()
    assert await env.booked() == []


async def test_no_money_is_kept_after_concurrent_charges_and_voids(env: GatewayEnv) -> None:
    keys = [f"{env.key}-{number}" for number in range(150)]

    async def each(call: Any, names: list[str]) -> list[Any]:
        return await asyncio.gather(*(call(name) for name in names))

    # Three hundred calls at once take a loaded machine longer than the fixture's gateways wait for an answer.
    async with env.with_gateway(timeout_seconds=20) as first, env.with_gateway(timeout_seconds=20) as second:
        _, voids = await asyncio.gather(
            each(lambda name: first.charge(key=name), keys), each(second.gateway.void, keys[::-1])
        )
    sums = await env.db.sql(
        "SELECT count(DISTINCT key), coalesce(sum(amount_cents), 0), count(*) FROM gateway.entries WHERE key LIKE $1",
        f"{env.key}-%",
    )
    refunded = sum(isinstance(answer, Refunded) for answer in voids)
    assert tuple(sums[0]) == (refunded, 0, 2 * refunded)


async def test_another_amount_with_the_same_key_is_refused(env: GatewayEnv) -> None:
    await env.charge()
    with pytest.raises(ChargeKeyReused):
        await env.gateway.charge(env.key, 701, "EUR", "tok_ok")


async def test_concurrent_calls_share_statements(env: GatewayEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    await env.charge()
    statements = 0
    original = ChargeLedger._records

    async def counted(self: ChargeLedger, statement: str, *arguments: object) -> Mapping[str, ChargeRecord]:
        nonlocal statements
        statements += 1
        return await original(self, statement, *arguments)

    monkeypatch.setattr(ChargeLedger, "_records", counted)
    await asyncio.gather(*(env.charge(key=f"{env.key}-{number}") for number in range(200)))
    assert statements <= 3


async def test_the_simulated_latency_does_not_serialize_calls(env: GatewayEnv) -> None:
    async with env.with_gateway(latency_seconds=0.2) as limited:
        await limited.charge()
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(limited.charge(key=f"{env.key}-{number}") for number in range(50)))
        assert 0.2 <= asyncio.get_running_loop().time() - started < 2


async def test_an_unreachable_ledger_is_a_gateway_error(env: GatewayEnv) -> None:
    address = env.db.address("gateway")
    away = SimulatedGateway(DatabaseAddress(address.url.replace(env.db.name, "nowhere"), address.password_file, None))
    with pytest.raises(GatewayError, match="not available"):
        await away.charge(env.key, 700, "EUR", "tok_ok")
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
