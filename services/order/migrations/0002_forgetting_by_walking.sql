-- migrate:up

-- What is old is found by walking through the table.
DROP INDEX idempotency_keys_age;

-- migrate:down
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);
