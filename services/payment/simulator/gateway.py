"""The simulated gateway: fulfils the contract of PaymentGateway, failures included."""

import asyncio
import secrets
from typing import TypeVar

import asyncpg

from services.payment.domain import Blocked, Charged, ChargeResult, Declined, Refunded, Voided, VoidResult
from services.payment.gateway import ChargeKeyReused, ChargeRejected, ConfirmationPending, GatewayError
from services.payment.simulator.store import ChargeLedger, ChargeRecord, ChargeRequest, ChargeState
from services.payment.simulator.tokens import behaviour_of
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import MessagingError
from warren_messaging.postgres.database import VALUE_REFUSED, DatabaseAddress

R = TypeVar("R")


class SimulatedGateway:
    """Opens its connections with `open`, or with the first call."""

    def __init__(self, address: DatabaseAddress, *, latency_seconds: float = 0.0, timeout_seconds: float = 3.0) -> None:
        self._ledger = ChargeLedger(address, connections=2)
        self._latency = latency_seconds
        self._timeout = timeout_seconds
        self._charges = RequestCoalescer(self._ledger.charge)
        self._voids = RequestCoalescer(self._ledger.void)
        self._opening = asyncio.Lock()
        self._open = False

    async def open(self) -> None:
        """Raises ConfigurationError when the database rejects the role, DatabaseUnavailable when it is unreachable."""
        if self._open:
            return
        async with self._opening:
            if not self._open:
                await self._ledger.close()  # a failed attempt may have left an open pool
                await self._ledger.open()
                self._open = True

    async def charge(self, key: str, amount_cents: int, currency: str, token: str) -> ChargeResult:
        behaviour = behaviour_of(token)
        if behaviour.silent:
            await self._time_out()
        request = ChargeRequest(f"ch_{secrets.token_hex(12)}", amount_cents, currency, token, behaviour)
        record = await self._call(self._charges, key, request)
        if record.state is not ChargeState.BLOCKED and (record.amount_cents, record.currency) != (
            amount_cents,
            currency,
        ):
            raise ChargeKeyReused(
                f"key {key} is for {record.amount_cents} {record.currency}, not for {amount_cents} {currency}"
            )
        if behaviour.loses_response and record.inserted:
            await self._time_out()
        return _charge_result(record)

    async def void(self, key: str) -> VoidResult:
        record = await self._call(self._voids, key, None)
        if record.state is not ChargeState.REFUNDED:
            return Voided()
        if record.charge_id is None or record.amount_cents is None or record.currency is None:
            raise AssertionError(f"the ledger has a refund without a charge: {key}")
        return Refunded(record.charge_id, record.amount_cents, record.currency)

    async def close(self) -> None:
        await self._charges.close()
        await self._voids.close()
        await self._ledger.close()

    async def _call(self, calls: RequestCoalescer[R, ChargeRecord], key: str, request: R) -> ChargeRecord:
        try:
            async with asyncio.timeout(self._timeout):
                await self.open()
                if self._latency:
                    await asyncio.sleep(self._latency)
                return await calls.submit(key, request)
        except TimeoutError as error:
            raise GatewayError(f"no answer within {self._timeout:g} s") from error
        except VALUE_REFUSED as error:
            raise ChargeRejected(f"the gateway refused the request: {error}") from error
        except (MessagingError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise GatewayError(f"the gateway's database is not available: {error}") from error

    async def _time_out(self) -> None:
        await asyncio.sleep(self._timeout)
        raise GatewayError(f"no answer within {self._timeout:g} s")


def _charge_result(record: ChargeRecord) -> ChargeResult:
    match record.state:
        case ChargeState.CHARGED if record.charge_id is not None:
            return Charged(record.charge_id)
        case ChargeState.DECLINED if record.code is not None:
            return Declined(record.code)
        case ChargeState.BLOCKED | ChargeState.REFUNDED:
            return Blocked()
        case ChargeState.PENDING if record.confirmed_at is not None:
            raise ConfirmationPending("the customer has not confirmed the charge yet")
        case ChargeState.PENDING:
            raise GatewayError("the gateway failed (503)")
    raise AssertionError(f"the ledger has an incomplete {record.state} charge: {record.key}")
