-- Tables of the plain implementation. All processes share one schema and one role; each has its own inbox and outbox.

CREATE TABLE orders (
    id          uuid        PRIMARY KEY,
    customer    text        NOT NULL,
    reference   text,
    lines       jsonb       NOT NULL,
    total_cents bigint      NOT NULL,
    currency    text        NOT NULL,
    facts       text[]      NOT NULL DEFAULT '{}',
    state       text        NOT NULL DEFAULT 'PENDING',
    tracking    text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX orders_reference ON orders (customer, reference) WHERE reference IS NOT NULL;

CREATE TABLE stock (
    sku      text   PRIMARY KEY,
    on_hand  bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    sold     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    state      text        NOT NULL,
    lines      jsonb       NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

CREATE TABLE payments (
    order_id     uuid        PRIMARY KEY,
    state        text        NOT NULL,
    amount_cents bigint      NOT NULL,
    currency     text        NOT NULL,
    charge_id    text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE gateway_charges (key text PRIMARY KEY, charge_id text NOT NULL, amount_cents bigint NOT NULL);
CREATE TABLE gateway_entries (key text, kind text, amount_cents bigint NOT NULL, PRIMARY KEY (key, kind));

CREATE TABLE shipments (
    order_id   uuid        PRIMARY KEY,
    state      text        NOT NULL,
    tracking   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE assessments (
    order_id    uuid        PRIMARY KEY,
    customer    text        NOT NULL,
    score       int         NOT NULL,
    assessed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX assessments_customer ON assessments (customer, assessed_at);

CREATE TABLE conversations (
    order_id uuid        PRIMARY KEY,
    customer text,
    topics   text[]      NOT NULL DEFAULT '{}',
    last_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE email_deliveries (id uuid PRIMARY KEY, order_id uuid NOT NULL, topic text NOT NULL, state text NOT NULL);
CREATE TABLE sms_deliveries (id uuid PRIMARY KEY, order_id uuid NOT NULL, topic text NOT NULL, state text NOT NULL);

CREATE TABLE audit_events (
    id          uuid        PRIMARY KEY,
    source      text        NOT NULL,
    subject     uuid        NOT NULL,
    type        text        NOT NULL,
    time        timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body        bytea       NOT NULL
);
CREATE INDEX audit_events_subject ON audit_events (subject);
CREATE INDEX audit_events_time ON audit_events (time, id);
