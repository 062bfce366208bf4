"""The table `rate_limits`: rate limits of calls, which all replicas of a service share.

Each limit is one row, with the algorithm GCRA, a token bucket that stores one time: `due_at` is when the bucket is full
again. One statement reserves slots for any number of calls. No slot is given twice; a crash wastes the slots that the
process had reserved.
"""

import msgspec

from warren_messaging.transaction import Connection

MAX_WAIT = 60.0  # seconds; slots beyond it are not reserved, and a crash wastes at most the slots of this time

MIN_RATE, MAX_RATE = 1e-6, 1e6  # calls a second
MAX_BURST = 1_000_000  # with MIN_RATE, an interval of this many calls is one that PostgreSQL can store


class RateLimit(msgspec.Struct, frozen=True):
    """At most `per_second` calls a second on average, and at most `burst` at once, by all processes that use `name` in
    one database schema."""

    name: str
    per_second: float
    burst: int = 1

    def __post_init__(self) -> None:
        if not (MIN_RATE <= self.per_second <= MAX_RATE and 1 <= self.burst <= MAX_BURST):
            raise ValueError(
                f"rate limit {self.name!r} has {self.per_second} calls per second and a burst of {self.burst}:"
                f" {MIN_RATE:g} to {MAX_RATE:g} and 1 to {MAX_BURST} are possible"
            )


_RESERVE = """
INSERT INTO rate_limits AS r (name, due_at, granted)
SELECT $1, clock_timestamp() + make_interval(secs => g.granted / $3::float8), g.granted
FROM (SELECT least($2::int, floor($4::int + $5::float8 * $3))::int AS granted) AS g
ON CONFLICT (name) DO UPDATE SET (due_at, granted) = (
    SELECT c.at + b.ahead + make_interval(secs => g.granted / $3), g.granted
    FROM (SELECT clock_timestamp() AS at) AS c,
        -- No longer than this limit can reach: a limit that was lower, or a clock that was set back, has no effect.
        LATERAL (SELECT least(greatest(r.due_at - c.at, '0'), make_interval(secs => $5 + $4 / $3)) AS ahead) AS b,
        LATERAL (
            SELECT greatest(least($2, floor($4 + ($5 - extract(epoch FROM b.ahead)::float8) * $3)), 0)::int AS granted
        ) AS g
)
RETURNING granted, extract(epoch FROM due_at - clock_timestamp())::float8
"""


async def reserve(connection: Connection, limit: RateLimit, calls: int) -> tuple[list[float], float]:
    """Reserve slots for `calls` calls, outside of any transaction: the row stays locked until the commit.

    Returns how many seconds each call must wait, at most MAX_WAIT, and how long it takes until a further slot can be
    reserved. Calls for which no slot is left get none.
    """
    row = await connection.fetchrow(_RESERVE, limit.name, calls, limit.per_second, limit.burst, MAX_WAIT)
    if row is None:
        raise AssertionError("an upsert returns its row")
    granted, ahead = row
    interval = 1 / limit.per_second
    first = ahead - (granted + limit.burst - 1) * interval
    waits = [max(first + number * interval, 0.0) for number in range(granted)]
    return waits, max(first + granted * interval - MAX_WAIT, 0.0)
