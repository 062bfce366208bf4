"""The contract between this service and a payment gateway.

Real providers fulfil it with a payment intent for each order: created, confirmed and cancelled under one idempotency
key. GatewayError and ConfirmationPending ask for another call with the same key; the other two are final.
"""

from typing import Protocol

from services.payment.domain import ChargeResult, VoidResult
from warren_messaging.errors import PermanentError, TransientError


class GatewayError(TransientError):
    """A timeout, a lost connection or a failure of the gateway: it is unknown whether money has moved."""


class ConfirmationPending(TransientError):
    """The customer has not confirmed the charge yet (3-D Secure). No money has moved; a void ensures it stays so."""


class ChargeKeyReused(PermanentError):
    """The key was used before with another amount or currency."""


class ChargeRejected(PermanentError):
    """The gateway does not accept a value of the request."""


class PaymentGateway(Protocol):
    """A payment gateway. Calls are idempotent for each key, also concurrent calls of several processes.

    After a TransientError the call may have had its effect; a call with the same key returns the result.
    """

    async def charge(self, key: str, amount_cents: int, currency: str, token: str) -> ChargeResult:
        """Take the amount, in the currency's smallest unit, at most once for each key.

        Every later call with the key returns the same final result (Charged or Declined). Once the key is voided,
        `charge` takes no money and returns Blocked (Declined if the charge was declined before).
        Raises GatewayError, ConfirmationPending, ChargeKeyReused or ChargeRejected.
        """

    async def void(self, key: str) -> VoidResult:
        """Ensure that no money is kept under this key, now and later.

        Refunds a charge in full, exactly once. Returns Voided if nothing was charged, also for an unknown key. Raises
        GatewayError.
        """
