"""The result of one check of `warren-messaging doctor`."""

from typing import Literal

import msgspec


class CheckResult(msgspec.Struct, frozen=True):
    check: str
    state: Literal["ok", "failed", "unknown"]
    """`unknown`: it could not be checked. Only `failed` makes the exit code 1."""
    detail: str
    remedy: str | None = None
    """What to do, unless the state is `ok`."""


def ok(check: str, detail: str) -> CheckResult:
    return CheckResult(check, "ok", detail)


def failed(check: str, detail: object, remedy: str) -> CheckResult:
    return CheckResult(check, "failed", str(detail), remedy)


def unknown(check: str, detail: object, remedy: str) -> CheckResult:
    return CheckResult(check, "unknown", str(detail), remedy)
