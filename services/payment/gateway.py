"""What this service needs of a payment gateway, precisely enough to stand on.

Real providers keep this contract with a payment intent for each order: created, confirmed and cancelled under one
idempotency key.

    GatewayTrouble   no answer, or none that counts: whether money moved is unknown, ask again with the same key
    NotConfirmed     the customer has yet to confirm (3-D Secure): ask again, the order's deadline ends the wait
    KeyReused        the key stands for another amount: a mistake here that no retry mends
    Refused          a value that the gateway does not take
"""

from typing import Protocol

from services.payment.domain import ChargeAnswer, VoidAnswer
from warren_messaging.errors import PermanentError, TransientError


class GatewayTrouble(TransientError):
    """A time-out, a lost connection or a failure on the gateway's side."""


class NotConfirmed(TransientError):
    """The charge waits for the customer. No money has moved yet, and a void still prevents it."""


class KeyReused(PermanentError):
    """One key, two different amounts or currencies."""


class Refused(PermanentError):
    """The gateway does not take such a value."""


class Gateway(Protocol):
    """Both calls may be made any number of times, at the same time, and from several processes.

    A call that raises TransientError may have had its effect; one with the same key tells.
    """

    async def charge(self, key: str, amount_cents: int, currency: str, token: str) -> ChargeAnswer:
        """Take the amount, in the currency's smallest unit, at most once for each key.

        The first final answer for a key (Charged or Declined) is given again to every later call with it. Once
        the key is voided no call takes money, and those that are not declined answer Blocked.
        Raises GatewayTrouble, NotConfirmed, KeyReused or Refused.
        """

    async def void(self, key: str) -> VoidAnswer:
        """See to it that nothing is kept under this key, now and for ever.

        Refunded when money had been taken: it is given back in full, and once however often this is called.
        Otherwise Voided, also for a key never seen before: from now on it takes no money.
        Raises GatewayTrouble.
        """
