-- migrate:up

-- The value by which a repetition is recognised: the event's logical id, or its id for consumers of every version.
ALTER TABLE inbox RENAME COLUMN logical_id TO dedup_key;

-- migrate:down
ALTER TABLE inbox RENAME COLUMN dedup_key TO logical_id;
