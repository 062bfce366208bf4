"""`warren fraud`: the scores of orders, and the rules that gave them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.arguments import Json, ListLimit, OrderSubject, parse_time


def fraud(
    *,
    flagged: Annotated[bool, Parameter(negative="", help="Only orders that were flagged.")] = False,
    since: Annotated[str | None, Parameter(help="Assessed at or after: 90s, 10m, 2h, 7d, or an ISO time.")] = None,
    order: OrderSubject = None,
    limit: ListLimit = 20,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """Explain the fraud service's decisions: each order with its score and the rules that apply, latest first.

    A flagged order is cancelled with the reason `fraud`, unless its parcel has left.

    Try:

        warren fraud --flagged --since 1h
        warren fraud --order 123
    """
    import asyncio

    import msgspec

    from warren.cli.assessment_store import StoredAssessment, find
    from warren.cli.screen import TableRow, age, out, print_json, table

    address = (database or DatabaseAccess()).address()
    found = asyncio.run(find(address, flagged=flagged, since=parse_time(since), order=order, limit=limit or None))
    if as_json:
        for assessment in found:
            print_json(msgspec.to_builtins(assessment))
        return
    if not found:
        out.print("no matching order")
        return

    def explanation(each: StoredAssessment) -> tuple[str, ...]:
        return tuple(f"{rule.points:>4}  {rule.name}: {rule.reason}" for rule in each.rules)

    rows = [
        TableRow(
            (each.order, each.customer, each.score, "flagged" if each.flagged else "", age(each.assessed_at)),
            "red" if each.flagged else "",
            explanation(each),
        )
        for each in found
    ]
    out.print(table(("order", "customer", "score", "", "assessed"), rows, flexible=(0, 1)), soft_wrap=True)
