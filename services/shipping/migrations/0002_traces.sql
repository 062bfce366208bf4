-- migrate:up

-- The trace context of the order's first event here: what a periodic job announces continues it.
ALTER TABLE shipments ADD COLUMN traceparent text;

-- migrate:down
ALTER TABLE shipments DROP COLUMN traceparent;
