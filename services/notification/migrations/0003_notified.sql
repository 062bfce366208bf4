-- migrate:up

-- The event types that the customer has been notified of.
ALTER TABLE conversations RENAME COLUMN told TO notified;

-- migrate:down
ALTER TABLE conversations RENAME COLUMN notified TO told;
