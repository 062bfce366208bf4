-- migrate:up

-- Set by whoever empties a parking lot (warren dlq): put back into its queue and not heard of since; removed for good.
ALTER TABLE failures
    DROP CONSTRAINT failures_state_check,
    ADD CONSTRAINT failures_state_check
        CHECK (state IN ('retrying', 'parked', 'succeeded', 'replayed', 'dropped'));

-- migrate:down
UPDATE failures SET state = 'parked' WHERE state IN ('replayed', 'dropped');
ALTER TABLE failures
    DROP CONSTRAINT failures_state_check,
    ADD CONSTRAINT failures_state_check CHECK (state IN ('retrying', 'parked', 'succeeded'));
