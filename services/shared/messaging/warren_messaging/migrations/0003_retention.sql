-- migrate:up

-- Progress of each sweep that removes old rows (warren_messaging/postgres/retention.py). The holder of the row's lock
-- makes the next step; other replicas skip it.
CREATE TABLE retention (
    name        text        PRIMARY KEY,
    block       bigint      NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    walked      bigint      NOT NULL DEFAULT 0, -- rows removed by this sweep
    removed     bigint      NOT NULL DEFAULT 0, -- rows removed by all sweeps
    finished_at timestamptz
);

-- migrate:down
DROP TABLE retention;
