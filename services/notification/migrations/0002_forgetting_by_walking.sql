-- migrate:up

-- What is old is found by walking through the table. The index on a column that every piece of news changes kept
-- each update from staying in its page.
DROP INDEX conversations_last_at;

-- migrate:down
CREATE INDEX conversations_last_at ON conversations (last_at);
