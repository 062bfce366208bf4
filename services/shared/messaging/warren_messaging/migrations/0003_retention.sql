-- migrate:up

-- Where each walk that removes old rows has come to: see services/shared/messaging/warren_messaging/postgres/retention.py. The row is also the
-- turn: who holds its lock removes, other replicas do something else.
CREATE TABLE retention (
    name        text        PRIMARY KEY,
    block       bigint      NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    walked      bigint      NOT NULL DEFAULT 0, -- rows removed since this walk began
    removed     bigint      NOT NULL DEFAULT 0, -- rows removed since ever
    finished_at timestamptz
);

-- migrate:down
DROP TABLE retention;
