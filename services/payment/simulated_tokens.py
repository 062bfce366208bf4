"""The payment tokens that the simulated gateway knows, like the test cards of real ones."""

from collections.abc import Mapping

import msgspec

CONFIRMED_AFTER = 2.0  # seconds; how long the simulated customer takes
NEVER = 100 * 365 * 86400.0  # seconds


class Behaviour(msgspec.Struct, frozen=True):
    """What the gateway does when it first sees a charge with this token."""

    code: str | None = None
    """Declines with this word."""
    failures: int = 0
    """So many calls fail on the gateway's side before one is taken seriously."""
    confirmed_after: float | None = None
    """Seconds until the customer confirms; None: no need to."""
    loses_answer: bool = False
    """Charges, and its answer does not arrive."""
    silent: bool = False
    """Neither does anything nor answers."""


TOKENS: Mapping[str, Behaviour] = {
    "tok_ok": Behaviour(),
    "tok_declined": Behaviour(code="card_declined"),
    "tok_insufficient_funds": Behaviour(code="insufficient_funds"),
    "tok_expired_card": Behaviour(code="expired_card"),
    "tok_flaky": Behaviour(failures=2),
    "tok_lost_answer": Behaviour(loses_answer=True),
    "tok_timeout": Behaviour(silent=True),
    "tok_confirm": Behaviour(confirmed_after=CONFIRMED_AFTER),
    "tok_abandoned": Behaviour(confirmed_after=NEVER),
}

UNKNOWN = Behaviour(code="invalid_token")


def behaviour_of(token: str) -> Behaviour:
    return TOKENS.get(token, UNKNOWN)
