"""Removes old rows in small steps, so that no table grows without limit and no statement waits for long.

A sweep goes through a table from its first page to its last. A step reads some pages, removes their old rows in one
short transaction, and pauses for a multiple of its duration. That needs no index, so writing rows costs nothing extra.
Locked rows are skipped until the next sweep.

The table `retention` stores the progress of each sweep, and the holder of the lock on its row makes the next step: any
number of replicas may run, one works at a time, and a replica continues where a killed one stopped. The database's
clock measures all ages.
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
    """Which rows of one table are removed.

    `statement` removes rows that are older than $1 days, from the row $2 (a tid) to before the row $3, at most $4 rows,
    and returns their number. `by_age` writes it.
    """

    name: str
    """Unique within a service."""
    table: str
    days: int
    """$1 of the statement: the age in days from which a row is removed."""
    statement: str


class RetentionSettings(msgspec.Struct, frozen=True):
    """How fast sweeps go. The defaults keep them below a fifth of one connection's time."""

    pages: int = 64
    """Pages of 8 KiB that a step reads."""
    rows: int = 1000
    """Maximum number of rows that a step removes."""
    rest: float = 4.0
    """Pause after a step, as a multiple of its duration."""
    min_rest_seconds: float = 0.05
    """Shortest pause after a step."""
    poll_seconds: float = 60.0
    """Interval between two checks for a sweep that is due."""
    every_seconds: float = 86400.0
    """From the end of a sweep to the start of the next one."""


def by_age(table: str, old: str, days: int, *, name: str | None = None, subject: str | None = None) -> RetentionRule:
    """Return the rule that removes the rows of `table` for which `old`, an SQL condition on `t` and $1 days, is true.

    `subject` names a column with a subject whose sequence number is removed too: no event about it may ever follow.
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
    """Return the rule for dedup keys. A key is kept while a row in `failures` shows that its message may come again:
    without the key, a repetition has its effect again."""
    return by_age(
        "inbox",
        "t.processed_at < now() - make_interval(days => $1) AND NOT EXISTS (SELECT FROM failures AS f"
        " WHERE f.consumer = t.consumer AND f.key = t.dedup_key::text"
        " AND f.state IN ('retrying', 'parked', 'replayed'))",
        days,
    )


def failures(days: int) -> RetentionRule:
    """Return the rule for failures that are over: succeeded or dropped. Rows of waiting or parked messages stay."""
    return by_age(
        "failures", "t.last_at < now() - make_interval(days => $1) AND t.state IN ('succeeded', 'dropped')", days
    )


NO_PENDING_MESSAGES = (
    "NOT EXISTS (SELECT FROM outbox AS waiting WHERE waiting.created_at < now() - interval '1 day')"
    " AND NOT EXISTS (SELECT FROM scheduled AS later WHERE later.subject = {subject})"
    " AND NOT EXISTS (SELECT FROM failures AS f WHERE f.subject = {subject}"
    " AND f.state IN ('retrying', 'parked', 'replayed'))"
)
"""Condition for removing the rows of a subject: no event about it waits to be published or is scheduled, and no failed
message about it may come again."""


class Retention:
    """Runs the sweeps of one service; run `run()` as a task."""

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
        """Run until cancelled. A sweep that fails is reported and continued at the next check."""
        while True:
            for rule in self._rules:
                try:
                    await self.sweep(rule)
                except (DatabaseUnavailable, ConfigurationError, TimeoutError) as error:
                    self._telemetry.status("retention", f"postponed: {error}")
                except Exception as error:  # noqa: BLE001 - an error in one table must not let the others grow
                    self._telemetry.status("retention", f"{rule.name} failed: {error!r}")
            await asyncio.sleep(self._settings.poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads replicas

    async def sweep(self, rule: RetentionRule) -> int:
        """Sweep a rule's table if that is due. Returns how many rows this process has removed.

        Ends early when another replica makes the next step.
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
        """Make one step. Returns the number of removed rows; None when no step is due or another replica makes it."""
        settings = self._settings
        await self._register()
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
                    # A full step: there may be more old rows on these pages.
                    block if removed >= settings.rows else past,
                    removed,
                )
                return int(removed)
        if walked:
            text = f"{walked:,} rows older than {rule.days} days removed from {rule.name}"
            self._telemetry.status("retention", text, degraded=False)
        return None

    async def _register(self) -> None:
        """Store a row for each new rule. First sweeps are spread over an hour."""
        if self._known:
            return
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO retention (name, due_at) SELECT name, now() + random() * interval '1 hour'"
                " FROM unnest($1::text[]) AS new (name) ORDER BY name ON CONFLICT DO NOTHING",
                [rule.name for rule in self._rules],
            )
        self._known = True
