-- migrate:up

-- The payment of each order. The fill factor leaves room in each page, since every row changes two or three times soon
-- after its insertion, and no changing column is indexed.
CREATE TABLE payments (
    order_id     uuid        PRIMARY KEY,
    state        text        NOT NULL
        CHECK (state IN ('new', 'charging', 'paid', 'failed', 'cancelled', 'voided', 'refunded')),
    amount_cents bigint      CHECK (amount_cents >= 0),
    currency     text,
    charge_id    text,
    code         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (state NOT IN ('charging', 'paid', 'failed') OR amount_cents IS NOT NULL),
    CHECK (state NOT IN ('paid', 'refunded') OR charge_id IS NOT NULL),
    CHECK (state <> 'failed' OR code IS NOT NULL)
) WITH (fillfactor = 60);

-- migrate:down
DROP TABLE payments;
