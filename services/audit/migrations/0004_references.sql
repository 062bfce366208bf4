-- migrate:up

-- Finds an order by the customer's own number, through its first event.
CREATE INDEX events_reference ON events (reference) WHERE type = 'order.created' AND reference IS NOT NULL;

-- migrate:down
DROP INDEX events_reference;
