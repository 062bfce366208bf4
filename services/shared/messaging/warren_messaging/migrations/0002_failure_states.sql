-- migrate:up

-- Set when an operator empties a parking lot: returned to its queue, or removed for good.
ALTER TABLE failures
    DROP CONSTRAINT failures_state_check,
    ADD CONSTRAINT failures_state_check
        CHECK (state IN ('retrying', 'parked', 'succeeded', 'replayed', 'dropped'));

-- migrate:down
UPDATE failures SET state = 'parked' WHERE state IN ('replayed', 'dropped');
ALTER TABLE failures
    DROP CONSTRAINT failures_state_check,
    ADD CONSTRAINT failures_state_check CHECK (state IN ('retrying', 'parked', 'succeeded'));
