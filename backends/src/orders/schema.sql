CREATE TABLE product (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    stock       INTEGER NOT NULL CHECK (stock >= 0)
) STRICT;

CREATE TABLE orders (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    state           TEXT    NOT NULL CHECK (state IN ('placed', 'cancelled')),
    total_cents     INTEGER NOT NULL CHECK (total_cents >= 0),
    created_at      INTEGER NOT NULL DEFAULT (unixepoch()),
    idempotency_key TEXT    UNIQUE,
    request         TEXT    NOT NULL
) STRICT;

CREATE TABLE order_item (
    order_id    INTEGER NOT NULL REFERENCES orders (id),
    product_id  INTEGER NOT NULL REFERENCES product (id),
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;

-- The gift card never runs out, for load tests; the poster soon does, for out_of_stock.
INSERT INTO product (id, name, price_cents, stock) VALUES
    (1, 'Espresso cup',   1250,       1000),
    (2, 'Moka pot',       3490,        100),
    (3, 'Coffee grinder', 8900,         25),
    (4, 'Poster, signed', 4500,          5),
    (5, 'Gift card',      2500, 1000000000);
