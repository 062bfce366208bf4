"""A payment gateway that moves no real money, and otherwise behaves like one, its troubles included.

It runs in the payment process and keeps its books in PostgreSQL under a role of its own, so they survive a crash of
that process and can be held against what the service believes. The token of a charge says what happens to it:

    tok_ok                  charged
    tok_declined            declined: card_declined
    tok_insufficient_funds  declined: insufficient_funds
    tok_expired_card        declined: expired_card
    tok_flaky               fails twice on the gateway's side, then charged
    tok_lost_answer         charged, but the first answer is lost; the next call finds the charge
    tok_timeout             never answers, never charges
    tok_confirm             needs the customer's confirmation, which comes after 2 seconds
    tok_abandoned           needs the customer's confirmation, which never comes
    anything else           declined: invalid_token
"""

import asyncio
import secrets
from typing import TypeVar

import asyncpg

from services.payment.domain import Blocked, ChargeAnswer, Charged, Declined, Refunded, VoidAnswer, Voided
from services.payment.gateway import GatewayTrouble, KeyReused, NotConfirmed, Refused
from services.payment.simulated_ledger import ChargeState, Entry, Ledger, Request
from services.payment.simulated_tokens import behaviour_of
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import MessagingError
from warren_messaging.postgres.database import VALUE_REFUSED, DatabaseAddress

Question = TypeVar("Question")


class SimulatedGateway:
    """Keeps the contract of Gateway. Its connections open with `open`, or else with the first call."""

    def __init__(self, address: DatabaseAddress, *, latency_seconds: float = 0.0, timeout_seconds: float = 3.0) -> None:
        self._ledger = Ledger(address, connections=2)
        self._latency = latency_seconds
        self._timeout = timeout_seconds
        self._charges = RequestCoalescer(self._ledger.charge)
        self._voids = RequestCoalescer(self._ledger.void)
        self._opening = asyncio.Lock()
        self._open = False

    async def open(self) -> None:
        """Raises ConfigurationError when its books refuse us, DatabaseUnavailable when they are away."""
        await self._connect()

    async def charge(self, key: str, amount_cents: int, currency: str, token: str) -> ChargeAnswer:
        behaviour = behaviour_of(token)
        if behaviour.silent:
            await self._give_up()
        request = Request(f"ch_{secrets.token_hex(12)}", amount_cents, currency, token, behaviour)
        entry = await self._call(self._charges, key, request)
        if entry.state is not ChargeState.BLOCKED and (entry.amount_cents, entry.currency) != (amount_cents, currency):
            raise KeyReused(
                f"key {key} stands for {entry.amount_cents} {entry.currency}, not for {amount_cents} {currency}"
            )
        if behaviour.loses_answer and entry.fresh:
            await self._give_up()
        return _charge_answer(entry)

    async def void(self, key: str) -> VoidAnswer:
        entry = await self._call(self._voids, key, None)
        if entry.state is not ChargeState.REFUNDED:
            return Voided()
        if entry.charge_id is None or entry.amount_cents is None or entry.currency is None:
            raise AssertionError(f"the books refunded {key} without having charged it")
        return Refunded(entry.charge_id, entry.amount_cents, entry.currency)

    async def close(self) -> None:
        await self._charges.close()
        await self._voids.close()
        await self._ledger.close()

    async def _call(self, calls: RequestCoalescer[Question, Entry], key: str, question: Question) -> Entry:
        try:
            async with asyncio.timeout(self._timeout):
                await self._connect()
                if self._latency:
                    await asyncio.sleep(self._latency)
                return await calls.submit(key, question)
        except TimeoutError as error:
            raise GatewayTrouble(f"no answer within {self._timeout:g} s") from error
        except VALUE_REFUSED as error:
            raise Refused(f"the gateway refused the request: {error}") from error
        except (MessagingError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise GatewayTrouble(f"the gateway's books are not available: {error}") from error

    async def _connect(self) -> None:
        if self._open:
            return
        async with self._opening:
            if not self._open:
                await self._ledger.close()  # what an attempt that failed half-way left
                await self._ledger.open()
                self._open = True

    async def _give_up(self) -> None:
        await asyncio.sleep(self._timeout)
        raise GatewayTrouble(f"no answer within {self._timeout:g} s")


def _charge_answer(entry: Entry) -> ChargeAnswer:
    match entry.state:
        case ChargeState.CHARGED if entry.charge_id is not None:
            return Charged(entry.charge_id)
        case ChargeState.DECLINED if entry.code is not None:
            return Declined(entry.code)
        case ChargeState.BLOCKED | ChargeState.REFUNDED:
            return Blocked()
        case ChargeState.PENDING if entry.confirmed_at is not None:
            raise NotConfirmed("the customer has yet to confirm the charge")
        case ChargeState.PENDING:
            raise GatewayTrouble("the gateway failed (503)")
    raise AssertionError(f"the books have a {entry.state} entry without its details: {entry.key}")
