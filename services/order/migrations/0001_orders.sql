-- migrate:up

-- `facts` are the reports of the other services, `reached` is the last state on the way to COMPLETED that was
-- announced, and `state` is derived from both: see services/order/domain.py. `lines` keep the price of the time when
-- the order was placed.
CREATE TABLE orders (
    id          uuid        PRIMARY KEY,
    customer    text        NOT NULL,
    reference   text,
    fingerprint bytea       NOT NULL,
    lines       jsonb       NOT NULL,
    total_cents bigint      NOT NULL CHECK (total_cents >= 0),
    currency    text        NOT NULL,
    express     boolean     NOT NULL,
    facts       text[]      NOT NULL DEFAULT '{}',
    reached     text        NOT NULL DEFAULT 'PENDING'
        CHECK (reached IN ('PENDING', 'CONFIRMED', 'PAID', 'SHIPPED', 'COMPLETED')),
    state       text        NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'CONFIRMED', 'PAID', 'SHIPPED', 'COMPLETED', 'CANCELLING', 'CANCELLED')),
    reason      text,
    tracking    text,
    version     integer     NOT NULL DEFAULT 1,
    deadline    timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((reason IS NULL) = (state NOT IN ('CANCELLING', 'CANCELLED')))
) WITH (fillfactor = 70); -- room for the updates of every order

CREATE UNIQUE INDEX orders_reference ON orders (customer, reference) WHERE reference IS NOT NULL;
CREATE INDEX orders_newest ON orders (customer, id DESC);
-- A paid or cancelled order has no deadline, so this index holds only orders that wait for their payment.
CREATE INDEX orders_deadline ON orders (deadline) WHERE deadline IS NOT NULL;

-- The order that each request has placed or found. The response to a repeated request is built from columns of the
-- order that never change.
CREATE TABLE idempotency_keys (
    customer    text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    order_id    uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

-- migrate:down
DROP TABLE idempotency_keys, orders;
