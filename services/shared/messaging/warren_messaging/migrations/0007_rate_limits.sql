-- migrate:up

-- One row for each rate limit (warren_messaging/postgres/rate_limit.py).
CREATE TABLE rate_limits (
    name    text        PRIMARY KEY,
    due_at  timestamptz NOT NULL, -- when all reserved slots are used, and the burst is available again
    granted integer     NOT NULL  -- slots of the last reservation
);

-- migrate:down
DROP TABLE rate_limits;
