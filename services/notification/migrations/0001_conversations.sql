-- migrate:up

-- One row for each order that this service has heard of: whom to tell, and what was told (event types).
CREATE TABLE conversations (
    order_id      uuid        PRIMARY KEY,
    customer      text,
    contact_known boolean     NOT NULL DEFAULT false,
    email         text,
    phone         text,
    told          text[]      NOT NULL DEFAULT '{}',
    last_at       timestamptz NOT NULL DEFAULT now()
);

-- Finds what to forget.
CREATE INDEX conversations_last_at ON conversations (last_at);

-- News that arrived before order.created said whom to tell: the whole event, so that it is told as if it came then.
CREATE TABLE waiting (
    order_id uuid        NOT NULL REFERENCES conversations ON DELETE CASCADE,
    topic    text        NOT NULL,
    event    bytea       NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, topic)
);

-- migrate:down
DROP TABLE waiting, conversations;
