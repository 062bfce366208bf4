-- migrate:up

-- Every piece that was ever received is on the shelf, set aside, or sold; the database itself insists.
CREATE TABLE stock (
    sku      text   COLLATE "C" PRIMARY KEY,
    on_hand  bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL CHECK (reserved >= 0),
    sold     bigint NOT NULL CHECK (sold >= 0),
    received bigint NOT NULL,
    CHECK (on_hand + reserved + sold = received)
) WITH (fillfactor = 50); -- a row that everybody buys is rewritten all the time

-- What each order holds. A row exists from the first event about the order that concerns stock, whichever that is.
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    state      text        NOT NULL DEFAULT 'unknown'
        CHECK (state IN ('unknown', 'reserved', 'out_of_stock', 'sold', 'released')),
    paid       boolean     NOT NULL DEFAULT false,
    lines      jsonb       NOT NULL DEFAULT '[]',
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Deliveries of goods that were announced with a key, so that a repeated announcement adds nothing.
CREATE TABLE restocks (
    key        text        PRIMARY KEY,
    sku        text        NOT NULL,
    quantity   bigint      NOT NULL,
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE restocks, reservations, stock;
