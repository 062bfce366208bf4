-- migrate:up

-- How often the message had been replayed when `attempts` started at one. Each replay has its own attempts; copies of one
-- message with the same number of replays share them.
ALTER TABLE failures ADD COLUMN replays integer NOT NULL DEFAULT 0;

-- migrate:down
ALTER TABLE failures DROP COLUMN replays;
