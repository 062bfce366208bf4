"""Removes what is old, a little at a time, so that no table grows for ever and nobody waits for it.

A walk goes through a table from its first page to its last: a step looks at some pages, removes what is old there in
one short transaction, and rests for a multiple of the time it took. That needs no index, so nothing is paid for it
where rows are written. Rows that somebody holds are passed over until the next walk.

How far a walk has come stands in the table `retention`, and who holds that row removes: any number of replicas may
run, one works at a time, and what a killed one leaves undone the next one goes on with. All ages are measured by the
database's clock.
"""

import asyncio
import random
import time
from collections.abc import Sequence

import msgspec

from warren_messaging.errors import ConfigurationError, DatabaseUnavailable
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import Telemetry

STEP_TIMEOUT = 60.0  # seconds


class RetentionRule(msgspec.Struct, frozen=True):
    """What may go from one table.

    `statement` removes what is older than $1 days from the row $2 on (a tid) to before the row $3, at most $4 rows,
    and returns how many it removed. `by_age` writes it.
    """

    name: str
    """Of the walk; no two of one service are the same."""
    table: str
    days: int
    statement: str


class RetentionSettings(msgspec.Struct, frozen=True):
    pages: int = 64
    """Pages of 8 KiB that a step looks at."""
    rows: int = 1000
    """Rows that a step removes at most."""
    rest: float = 4.0
    """How many times as long as a step took the walk rests after it."""
    min_rest_seconds: float = 0.05
    poll_seconds: float = 60.0
    """Between two looks for a walk that is due."""
    every_seconds: float = 86400.0
    """From the end of a walk to the beginning of the next one."""


def by_age(table: str, old: str, days: int, *, name: str | None = None, subject: str | None = None) -> RetentionRule:
    """Remove the rows of `table` of which `old`, SQL about the row `t` and $1 days, is true.

    `subject` names a column with a subject whose sequence number is forgotten too: nothing may ever be announced
    about it again.
    """
    removing = (
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY("  # noqa: S608 - constants of the program
        f"SELECT t.ctid FROM {table} AS t WHERE t.ctid >= $2::tid AND t.ctid < $3::tid AND ({old})"
        " LIMIT $4 FOR UPDATE OF t SKIP LOCKED))"
    )
    if subject is None:
        statement = f"WITH gone AS ({removing} RETURNING 1) SELECT count(*) FROM gone"  # noqa: S608 - as above
    else:
        statement = (
            f"WITH gone AS ({removing} RETURNING {subject} AS subject), numbers AS"  # noqa: S608 - as above
            " (DELETE FROM sequences AS s USING gone WHERE s.subject = gone.subject) SELECT count(*) FROM gone"
        )
    return RetentionRule(name or table, table, days, statement)


def inbox(days: int) -> RetentionRule:
    """What was processed longer ago: a repetition of it would have its effect again. Kept as long as the message may
    come back from a queue or a parking lot that the table `failures` knows of."""
    return by_age(
        "inbox",
        "t.processed_at < now() - make_interval(days => $1) AND NOT EXISTS (SELECT FROM failures AS f"
        " WHERE f.consumer = t.consumer AND f.key = t.dedup_key::text"
        " AND f.state IN ('retrying', 'parked', 'replayed'))",
        days,
    )


def failures(days: int) -> RetentionRule:
    """What is over: it got through later, or was dropped. What stands for a message that waits or is parked stays."""
    return by_age(
        "failures", "t.last_at < now() - make_interval(days => $1) AND t.state IN ('succeeded', 'dropped')", days
    )


NO_PENDING_MESSAGES = (
    "NOT EXISTS (SELECT FROM outbox AS waiting WHERE waiting.created_at < now() - interval '1 day')"
    " AND NOT EXISTS (SELECT FROM failures AS f WHERE f.subject = {subject}"
    " AND f.state IN ('retrying', 'parked', 'replayed'))"
)
"""Condition for forgetting a subject: no event waits to be published that could be about it, and no message about it
failed and may come back."""


class Retention:
    """Runs the walks of one service; run `run()` as a task."""

    def __init__(
        self,
        database: Database,
        telemetry: Telemetry,
        rules: Sequence[RetentionRule],
        settings: RetentionSettings = RetentionSettings(),  # noqa: B008 - immutable
    ) -> None:
        self._database = database
        self._telemetry = telemetry
        self._rules = rules
        self._settings = settings
        self._known = False

    async def run(self) -> None:
        """Until cancelled. A walk that fails is told, and gone on with at the next look."""
        while True:
            for rule in self._rules:
                try:
                    await self.sweep(rule)
                except (DatabaseUnavailable, ConfigurationError, TimeoutError) as error:
                    self._telemetry.status("retention", f"put off: {error}")
                except Exception as error:  # noqa: BLE001 - one table's trouble must not let the others grow
                    self._telemetry.status("retention", f"{rule.name} failed: {error!r}")
            await asyncio.sleep(self._settings.poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads replicas

    async def sweep(self, rule: RetentionRule) -> int:
        """Walk through a rule's table if that is due; returns how many rows this process has removed.

        Ends early when another replica takes the turn.
        """
        removed = 0
        while (step := await self._timed_step(rule)) is not None:
            removed += step
        return removed

    async def _timed_step(self, rule: RetentionRule) -> int | None:
        began = time.monotonic()
        removed = await self._step(rule)
        if removed is not None:
            took = time.monotonic() - began
            await asyncio.sleep(max(took * self._settings.rest, self._settings.min_rest_seconds))
        return removed

    async def _step(self, rule: RetentionRule) -> int | None:
        """How many rows were removed; None when there is no step to make, for us."""
        settings = self._settings
        await self._introduce()
        async with asyncio.timeout(STEP_TIMEOUT), self._database.transaction() as connection:
            turn = await connection.fetchrow(
                "SELECT block, pg_relation_size($2::text::regclass) / current_setting('block_size')::int"
                " FROM retention WHERE name = $1 AND due_at <= now() FOR UPDATE SKIP LOCKED",
                rule.name,
                rule.table,
            )
            if turn is None:
                return None
            block, pages = turn
            if block >= pages:
                walked = await connection.fetchval(
                    "UPDATE retention AS r SET block = 0, walked = 0, finished_at = now(),"
                    " due_at = now() + make_interval(secs => $2) FROM retention AS old"
                    " WHERE r.name = $1 AND old.name = $1 RETURNING old.walked",
                    rule.name,
                    settings.every_seconds,
                )
            else:
                past = block + settings.pages
                removed = await connection.fetchval(rule.statement, rule.days, (block, 0), (past, 0), settings.rows)
                await connection.execute(
                    "UPDATE retention SET block = $2, walked = walked + $3, removed = removed + $3 WHERE name = $1",
                    rule.name,
                    # As many as may go in one step: there may be more on these pages.
                    block if removed >= settings.rows else past,
                    removed,
                )
                return int(removed)
        if walked:
            text = f"{walked:,} rows older than {rule.days} days removed from {rule.name}"
            self._telemetry.status("retention", text, degraded=False)
        return None

    async def _introduce(self) -> None:
        """New walks begin within an hour, not all of all services at once."""
        if self._known:
            return
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO retention (name, due_at) SELECT name, now() + random() * interval '1 hour'"
                " FROM unnest($1::text[]) AS new (name) ORDER BY name ON CONFLICT DO NOTHING",
                [rule.name for rule in self._rules],
            )
        self._known = True
