"""Payment tokens of the simulated gateway, like the test cards of real gateways."""

from collections.abc import Mapping

import msgspec

CONFIRMED_AFTER = 2.0  # seconds; how long the simulated customer takes
NEVER = 100 * 365 * 86400.0  # seconds


class TokenBehaviour(msgspec.Struct, frozen=True):
    """The gateway's behaviour at the first charge with a token."""

    code: str | None = None
    """Declines with this reason."""
    failures: int = 0
    """Number of calls that fail before one is processed."""
    confirmed_after: float | None = None
    """Seconds until the customer confirms; None: no confirmation needed."""
    loses_response: bool = False
    """Charges, but the response does not arrive."""
    silent: bool = False
    """Neither charges nor responds."""


TOKENS: Mapping[str, TokenBehaviour] = {
    "tok_ok": TokenBehaviour(),
    "tok_declined": TokenBehaviour(code="card_declined"),
    "tok_insufficient_funds": TokenBehaviour(code="insufficient_funds"),
    "tok_expired_card": TokenBehaviour(code="expired_card"),
    "tok_flaky": TokenBehaviour(failures=2),
    "tok_lost_answer": TokenBehaviour(loses_response=True),
    "tok_timeout": TokenBehaviour(silent=True),
    "tok_confirm": TokenBehaviour(confirmed_after=CONFIRMED_AFTER),
    "tok_abandoned": TokenBehaviour(confirmed_after=NEVER),
}

UNKNOWN = TokenBehaviour(code="invalid_token")


def behaviour_of(token: str) -> TokenBehaviour:
    return TOKENS.get(token, UNKNOWN)
