-- migrate:up

-- Retention finds old rows by a scan of the table. The index was on a column that every event changes, and so
-- prevented updates within a page.
DROP INDEX conversations_last_at;

-- migrate:down
CREATE INDEX conversations_last_at ON conversations (last_at);
