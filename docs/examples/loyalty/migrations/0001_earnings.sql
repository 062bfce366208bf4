-- migrate:up

-- What is known of each order, whichever event came first. Points are there once all of it is.
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
