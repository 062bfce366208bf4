-- migrate:up

-- Every event, as it was received. `body` is the whole CloudEvent; the other columns are copied from it.
CREATE TABLE events (
    source      text        NOT NULL,
    subject     uuid        NOT NULL,
    sequence    integer     NOT NULL,
    id          uuid        NOT NULL,
    logical_id  uuid        NOT NULL,
    type        text        NOT NULL,
    reference   text,
    time        timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body        bytea       NOT NULL,
    PRIMARY KEY (source, subject, sequence)
);

-- The history of one order.
CREATE INDEX events_subject ON events (subject);
-- Pages by time.
CREATE INDEX events_time ON events (time, id);

-- Events with the sequence number or id of another event. There should be none; if there are, none is lost.
CREATE TABLE contradictions (
    source      text        NOT NULL,
    subject     uuid        NOT NULL,
    sequence    integer     NOT NULL,
    id          uuid        NOT NULL,
    logical_id  uuid        NOT NULL,
    type        text        NOT NULL,
    reference   text,
    time        timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body        bytea       NOT NULL,
    PRIMARY KEY (source, subject, sequence, id)
);

-- The log is append-only. The service's role has UPDATE and DELETE on its tables by default.
REVOKE UPDATE, DELETE ON events, contradictions FROM audit;

-- migrate:down
DROP TABLE contradictions, events;
