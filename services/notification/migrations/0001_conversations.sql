-- migrate:up

-- One notification log for each order: the customer's contact, and the event types that were notified (`told`).
CREATE TABLE conversations (
    order_id      uuid        PRIMARY KEY,
    customer      text,
    contact_known boolean     NOT NULL DEFAULT false,
    email         text,
    phone         text,
    told          text[]      NOT NULL DEFAULT '{}',
    last_at       timestamptz NOT NULL DEFAULT now()
);

-- For retention.
CREATE INDEX conversations_last_at ON conversations (last_at);

-- Events that arrived before order.created, and wait for the contact. The whole event is stored.
CREATE TABLE waiting (
    order_id uuid        NOT NULL REFERENCES conversations ON DELETE CASCADE,
    topic    text        NOT NULL,
    event    bytea       NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, topic)
);

-- migrate:down
DROP TABLE waiting, conversations;
