-- migrate:up

-- Every received piece is on hand, reserved or sold; the CHECK enforces it.
CREATE TABLE stock (
    sku      text   COLLATE "C" PRIMARY KEY,
    on_hand  bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL CHECK (reserved >= 0),
    sold     bigint NOT NULL CHECK (sold >= 0),
    received bigint NOT NULL,
    CHECK (on_hand + reserved + sold = received)
) WITH (fillfactor = 50); -- the row of a popular article is updated all the time

-- The reservation of each order. A row exists from the first event of the order that concerns stock.
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    state      text        NOT NULL DEFAULT 'unknown'
        CHECK (state IN ('unknown', 'reserved', 'out_of_stock', 'sold', 'released')),
    paid       boolean     NOT NULL DEFAULT false,
    lines      jsonb       NOT NULL DEFAULT '[]',
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Restock requests with an idempotency key, so that a repeated request adds nothing.
CREATE TABLE restocks (
    key        text        PRIMARY KEY,
    sku        text        NOT NULL,
    quantity   bigint      NOT NULL,
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE restocks, reservations, stock;
