-- migrate:up

-- Scheduled messages: events that are published at a later time (warren_messaging/outbox/schedule.py). A row is moved to
-- the outbox when it is due. `position` orders rows of one time; `body` has neither its number nor its time yet.
CREATE TABLE scheduled (
    id         uuid        PRIMARY KEY,
    position   bigint      GENERATED ALWAYS AS IDENTITY,
    due_at     timestamptz NOT NULL,
    event_type text        NOT NULL,
    subject    uuid        NOT NULL,
    exchange   text        NOT NULL,
    body       bytea       NOT NULL,
    expires_ms integer
);
CREATE INDEX scheduled_due ON scheduled (due_at, position);
-- Retention keeps the sequence number of a subject with scheduled messages.
CREATE INDEX scheduled_subject ON scheduled (subject);

-- migrate:down
DROP TABLE scheduled;
