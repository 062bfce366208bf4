-- migrate:up

-- The parcel of each order. The fill factor leaves room in each page, since a row changes soon after its insertion.
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

-- Only waiting shipments are indexed, so the cost of a periodic job does not grow with the history.
CREATE INDEX shipments_to_prepare ON shipments (express DESC, prepare_at) WHERE state = 'waiting';
CREATE INDEX shipments_to_deliver ON shipments (deliver_at) WHERE state = 'prepared' AND deliver_at IS NOT NULL;

-- migrate:down
DROP TABLE shipments;
