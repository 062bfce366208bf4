-- migrate:up

-- The parcel of each order that shipping has heard of. Room is left in each page, since a row changes soon after it
-- is made.
CREATE TABLE shipments (
    order_id   uuid        PRIMARY KEY,
    reference  text,
    state      text        NOT NULL DEFAULT 'unpaid'
        CHECK (state IN ('unpaid', 'waiting', 'prepared', 'delivered', 'stopped')),
    tracking   text        CHECK ((state IN ('prepared', 'delivered')) = (tracking IS NOT NULL)),
    express    boolean     NOT NULL DEFAULT false,
    confirmed  boolean     NOT NULL DEFAULT false,
    prepare_at timestamptz,
    deliver_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);

-- Only what waits is indexed, so the cost of a tick does not grow with the past.
CREATE INDEX shipments_to_prepare ON shipments (express DESC, prepare_at) WHERE state = 'waiting';
CREATE INDEX shipments_to_deliver ON shipments (deliver_at) WHERE state = 'prepared' AND deliver_at IS NOT NULL;

-- migrate:down
DROP TABLE shipments;
