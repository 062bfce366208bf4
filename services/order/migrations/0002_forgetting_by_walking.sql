-- migrate:up

-- Retention finds old rows by a scan of the table.
DROP INDEX idempotency_keys_age;

-- migrate:down
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);
