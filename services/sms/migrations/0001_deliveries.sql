-- migrate:up

-- The state of each notification on this channel; `id` is the notification's logical id.
CREATE TABLE deliveries (
    id           uuid        PRIMARY KEY,
    order_id     uuid        NOT NULL,
    topic        text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('skipped', 'sending', 'sent')),
    number_hash  bytea,
    noted_at     timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz CHECK ((sent_at IS NOT NULL) = (state = 'sent'))
);

-- Finds the deliveries of one order.
CREATE INDEX deliveries_order_id ON deliveries (order_id);

-- migrate:down
DROP TABLE deliveries;
