-- migrate:up

-- Every event, as it was received. `body` is the whole CloudEvent; the other columns are read off it.
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

-- The story of one order.
CREATE INDEX events_subject ON events (subject);
-- Pages through time.
CREATE INDEX events_time ON events (time, id);

-- Events that claim a place in the log that another one has. That must never happen; if it does, nothing is lost.
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

-- The log is added to and read. The service's role gets UPDATE and DELETE on all its tables by default: not here.
REVOKE UPDATE, DELETE ON events, contradictions FROM audit;

-- migrate:down
DROP TABLE contradictions, events;
