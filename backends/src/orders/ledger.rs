//! Stock and orders in SQL. Each function that changes something is called inside one write transaction, and leaves it
//! to be rolled back when it fails: half an order never takes stock.

use axum::http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use crate::idempotency::{IdempotencyKey, KeyedTable, Recorded, canonical};
use crate::orders::draft::{Draft, Line};
use crate::problem::Problem;

const ORDERS: KeyedTable = KeyedTable("orders");

/// Something to buy.
#[derive(Debug, Serialize)]
pub struct Product {
    id: i64,
    name: String,
    price_cents: i64,
    stock: i64,
}

/// An order with its items.
#[derive(Debug, Serialize)]
pub struct Order {
    #[serde(flatten)]
    summary: Summary,
    items: Vec<Item>,
}

/// An order without its items, as it stands in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    id: i64,
    /// `placed` or `cancelled`.
    state: String,
    total_cents: i64,
    /// Seconds since 1970.
    created_at: i64,
}

/// A line of an order, at the price of its day.
#[derive(Debug, Serialize)]
pub struct Item {
    product_id: i64,
    quantity: i64,
    price_cents: i64,
}

/// The first `limit` products.
pub fn products(db: &Connection, limit: u32) -> Result<Vec<Product>, Problem> {
    let mut query =
        db.prepare_cached("SELECT id, name, price_cents, stock FROM product ORDER BY id LIMIT ?1")?;
    Ok(query.query_map([limit], as_product)?.collect::<Result<_, _>>()?)
}

/// One product; 404 without.
pub fn product(db: &Connection, id: i64) -> Result<Product, Problem> {
    let mut query = db.prepare_cached("SELECT id, name, price_cents, stock FROM product WHERE id = ?1")?;
    query.query_row([id], as_product).optional()?.ok_or_else(|| no_product(id))
}

/// Takes the stock of all items or of none; 404 for an unknown product, 409 when one is short.
pub fn place(
    tx: &Transaction<'_>,
    draft: &Draft,
    key: Option<&IdempotencyKey>,
) -> Result<Recorded<Order>, Problem> {
    let request = canonical(draft)?;
    if let Some(key) = key
        && let Some(id) = ORDERS.recall(tx, key, &request)?
    {
        return order(tx, id).map(Recorded::Replayed);
    }
    let items = draft.items().iter().map(|line| take_stock(tx, line)).collect::<Result<Vec<_>, _>>()?;
    let id = insert(tx, &items, key, &request)?;
    order(tx, id).map(Recorded::New)
}

/// One order; 404 without.
pub fn order(db: &Connection, id: i64) -> Result<Order, Problem> {
    let mut query =
        db.prepare_cached("SELECT id, state, total_cents, created_at FROM orders WHERE id = ?1")?;
    let summary = query.query_row([id], as_summary).optional()?;
    let summary = summary.ok_or_else(|| Problem::not_found(format!("order {id}")))?;
    Ok(Order { summary, items: items(db, id)? })
}

/// Up to `limit` orders with an id above `after`, oldest first.
pub fn summaries(db: &Connection, after: i64, limit: u32) -> Result<Vec<Summary>, Problem> {
    let sql = "SELECT id, state, total_cents, created_at FROM orders WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut query = db.prepare_cached(sql)?;
    Ok(query.query_map(params![after, limit], as_summary)?.collect::<Result<_, _>>()?)
}

/// Gives the stock back the first time, and answers the cancelled order every time; 404 without an order.
pub fn cancel(tx: &Transaction<'_>, id: i64) -> Result<Order, Problem> {
    let sql = "UPDATE orders SET state = 'cancelled' WHERE id = ?1 AND state = 'placed'";
    let first_time = tx.prepare_cached(sql)?.execute([id])? == 1;
    let order = order(tx, id)?;
    if first_time {
        order.items.iter().try_for_each(|item| give_back(tx, item))?;
    }
    Ok(order)
}

fn take_stock(tx: &Transaction<'_>, line: &Line) -> Result<Item, Problem> {
    let sql = "UPDATE product SET stock = stock - ?2 WHERE id = ?1 AND stock >= ?2 RETURNING price_cents";
    let quantity = line.quantity.get();
    let price =
        tx.prepare_cached(sql)?.query_row([line.product_id, quantity], |row| row.get(0)).optional()?;
    match price {
        Some(price_cents) => Ok(Item { product_id: line.product_id, quantity, price_cents }),
        None => Err(short_of(&product(tx, line.product_id)?, quantity)),
    }
}

fn give_back(tx: &Transaction<'_>, item: &Item) -> Result<(), Problem> {
    let mut update = tx.prepare_cached("UPDATE product SET stock = stock + ?2 WHERE id = ?1")?;
    update.execute([item.product_id, item.quantity])?;
    Ok(())
}

fn insert(
    tx: &Transaction<'_>,
    items: &[Item],
    key: Option<&IdempotencyKey>,
    request: &str,
) -> Result<i64, Problem> {
    let total_cents: i64 = items.iter().map(|item| item.price_cents * item.quantity).sum();
    let sql =
        "INSERT INTO orders (state, total_cents, idempotency_key, request) VALUES ('placed', ?1, ?2, ?3)";
    let id =
        tx.prepare_cached(sql)?.insert(params![total_cents, key.map(IdempotencyKey::as_str), request])?;
    items.iter().try_for_each(|item| insert_item(tx, id, item))?;
    Ok(id)
}

fn insert_item(tx: &Transaction<'_>, order_id: i64, item: &Item) -> Result<(), Problem> {
    let sql = "INSERT INTO order_item (order_id, product_id, quantity, price_cents) VALUES (?1, ?2, ?3, ?4)";
    tx.prepare_cached(sql)?.execute([order_id, item.product_id, item.quantity, item.price_cents])?;
    Ok(())
}

fn items(db: &Connection, order_id: i64) -> Result<Vec<Item>, Problem> {
    let sql =
        "SELECT product_id, quantity, price_cents FROM order_item WHERE order_id = ?1 ORDER BY product_id";
    let mut query = db.prepare_cached(sql)?;
    Ok(query.query_map([order_id], as_item)?.collect::<Result<_, _>>()?)
}

fn as_product(row: &Row<'_>) -> rusqlite::Result<Product> {
    Ok(Product { id: row.get(0)?, name: row.get(1)?, price_cents: row.get(2)?, stock: row.get(3)? })
}

fn as_summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary { id: row.get(0)?, state: row.get(1)?, total_cents: row.get(2)?, created_at: row.get(3)? })
}

fn as_item(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item { product_id: row.get(0)?, quantity: row.get(1)?, price_cents: row.get(2)? })
}

fn no_product(id: i64) -> Problem {
    Problem::not_found(format!("product {id}"))
}

fn short_of(product: &Product, wanted: i64) -> Problem {
    let detail = format!("product {}: {wanted} wanted, {} in stock", product.id, product.stock);
    Problem::new(StatusCode::CONFLICT, "out_of_stock", detail)
}
