-- migrate:up

-- The ledger of the simulated gateway. Only the role `gateway` can read and write it.

-- One row for each idempotency key, also for a key that was only voided.
CREATE TABLE charges (
    key           text        PRIMARY KEY,
    charge_id     text,
    state         text        NOT NULL CHECK (state IN ('pending', 'charged', 'declined', 'blocked', 'refunded')),
    code          text,
    amount_cents  bigint      CHECK (amount_cents >= 0),
    currency      text,
    token         text,
    failures_left integer     NOT NULL DEFAULT 0,
    confirmed_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (state = 'blocked' OR (charge_id IS NOT NULL AND amount_cents IS NOT NULL AND currency IS NOT NULL))
) WITH (fillfactor = 70);

-- Every movement of money: charges positive, refunds negative, so the sum of a key is the money that is kept.
CREATE TABLE entries (
    key          text        NOT NULL REFERENCES charges,
    kind         text        NOT NULL CHECK (kind IN ('charge', 'refund')),
    amount_cents bigint      NOT NULL CHECK (CASE kind WHEN 'charge' THEN amount_cents >= 0 ELSE amount_cents <= 0 END),
    booked_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, kind)
);

-- The ledger is append-only.
REVOKE UPDATE, DELETE ON entries FROM gateway;
REVOKE DELETE ON charges FROM gateway;

-- migrate:down
DROP TABLE entries, charges;
