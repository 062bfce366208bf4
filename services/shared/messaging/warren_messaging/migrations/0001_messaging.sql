-- migrate:up

-- The events that each consumer has processed, by dedup key. Inserted in the transaction of the effect.
CREATE TABLE inbox (
    consumer     text        NOT NULL,
    logical_id   uuid        NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, logical_id)
);

-- Events that are committed and not yet confirmed by the broker. A row is deleted, never marked: the table is as small
-- as the backlog.
CREATE TABLE outbox (
    position     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange     text        NOT NULL,
    body         bytea       NOT NULL,
    expires_ms   integer,
    owner        uuid        NOT NULL,
    leased_until timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- How many events this source has published about each subject. The row lock orders them.
CREATE TABLE sequences (
    subject uuid    PRIMARY KEY,
    last    integer NOT NULL
);

-- Deliveries that failed, with the number of attempts, the last reason and the state.
CREATE TABLE failures (
    consumer   text        NOT NULL,
    key        text        NOT NULL,
    event_type text,
    subject    uuid,
    attempts   integer     NOT NULL,
    reason     text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('retrying', 'parked', 'succeeded')),
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key)
);

-- migrate:down
DROP TABLE failures, sequences, outbox, inbox;
