CREATE TABLE payment (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id        INTEGER NOT NULL,
    amount_cents    INTEGER NOT NULL CHECK (amount_cents > 0),
    currency        TEXT    NOT NULL,
    refunded_cents  INTEGER NOT NULL DEFAULT 0 CHECK (refunded_cents BETWEEN 0 AND amount_cents),
    created_at      INTEGER NOT NULL DEFAULT (unixepoch()),
    idempotency_key TEXT    NOT NULL UNIQUE,
    request         TEXT    NOT NULL
) STRICT;

CREATE TABLE refund (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id      INTEGER NOT NULL REFERENCES payment (id),
    amount_cents    INTEGER NOT NULL CHECK (amount_cents > 0),
    created_at      INTEGER NOT NULL DEFAULT (unixepoch()),
    idempotency_key TEXT    NOT NULL UNIQUE,
    request         TEXT    NOT NULL
) STRICT;
