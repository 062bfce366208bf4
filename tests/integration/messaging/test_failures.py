"""The record of failures on the real database: the in-memory one counts by itself."""

from services.shared.messaging import failures
from tests.stage import Stage

LIMIT = 3


async def test_each_failure_counts_and_the_last_one_allowed_parks(stage: Stage) -> None:
    database = stage.database()
    await database.open()
    counted = []
    async with database.connection() as connection:
        # The last one comes out of the parking lot, and begins anew.
        for number, replays in enumerate((0, 0, 0, 1), start=1):
            counted.append(
                await failures.record(
                    connection,
                    "probe",
                    "key",
                    f"reason {number}",
                    event_type=None,
                    subject=None,
                    limit=LIMIT,
                    replays=replays,
                )
            )
    kept = [tuple(row) for row in await stage.sql("SELECT attempts, reason, state FROM failures")]
    await database.close()
    assert counted == [(1, False), (2, False), (3, True), (1, False)]
    assert kept == [(1, "reason 4", "retrying")]
