-- migrate:up

-- How often the message had been replayed when `attempts` began to count. A replay is a new life with tries of its
-- own; copies of one message in the same life share them.
ALTER TABLE failures ADD COLUMN replays integer NOT NULL DEFAULT 0;

-- migrate:down
ALTER TABLE failures DROP COLUMN replays;
