-- migrate:up

-- The trace context in which the order was placed: what a periodic job or a later request announces continues it.
ALTER TABLE orders ADD COLUMN traceparent text;

-- migrate:down
ALTER TABLE orders DROP COLUMN traceparent;
