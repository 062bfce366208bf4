-- migrate:up

-- The score of each order and the rules that gave points: [{"name": …, "points": …, "reason": …}]
CREATE TABLE assessments (
    order_id    uuid        PRIMARY KEY,
    reference   text,
    customer    text        NOT NULL,
    score       int         NOT NULL,
    flagged     boolean     NOT NULL,
    rules       jsonb       NOT NULL,
    assessed_at timestamptz NOT NULL DEFAULT now()
);

-- The orders of one customer within the last hour are counted for each new order.
CREATE INDEX assessments_by_customer ON assessments (customer, assessed_at);
CREATE INDEX assessments_flagged ON assessments (assessed_at) WHERE flagged;

-- migrate:down
DROP TABLE assessments;
