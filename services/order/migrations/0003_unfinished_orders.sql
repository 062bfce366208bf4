-- migrate:up

-- The metrics count unfinished orders at each scrape. The index holds only these. Its condition is a column that changes
-- once in the life of an order: an index on `state` would make every update of an order write to every index.
ALTER TABLE orders ADD COLUMN finished boolean NOT NULL
    GENERATED ALWAYS AS (state IN ('COMPLETED', 'CANCELLED')) STORED;
CREATE INDEX orders_unfinished ON orders (created_at) WHERE NOT finished;

-- migrate:down
ALTER TABLE orders DROP COLUMN finished;
