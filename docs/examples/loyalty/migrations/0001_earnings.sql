-- migrate:up

-- The known facts of each order, in any order of events. Points are 0 until all facts are known.
CREATE TABLE earnings (
    order_id  uuid    PRIMARY KEY,
    customer  text,
    cents     bigint,
    completed boolean NOT NULL DEFAULT false,
    points    bigint  NOT NULL DEFAULT 0
);

CREATE INDEX ON earnings (customer);

-- migrate:down
DROP TABLE earnings;
