//! Charges and refunds in SQL. Each function that changes something is called inside one write transaction: between
//! looking a key up and recording it, no replica can record the same key.

use axum::http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::idempotency::{IdempotencyKey, KeyedTable, Recorded, canonical};
use crate::payments::money::{Cents, Currency};
use crate::problem::Problem;

const PAYMENTS: KeyedTable = KeyedTable("payment");
const REFUNDS: KeyedTable = KeyedTable("refund");

/// What a client asks for: `{"order_id":1,"amount_cents":2500,"currency":"EUR"}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    order_id: i64,
    amount_cents: Cents,
    currency: Currency,
}

/// What a client asks for: `{"amount_cents":500}`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundOrder {
    amount_cents: Cents,
}

/// A charge that happened, and how much of it was given back.
#[derive(Debug, Serialize)]
pub struct Payment {
    id: i64,
    order_id: i64,
    amount_cents: i64,
    currency: String,
    refunded_cents: i64,
    /// Seconds since 1970.
    created_at: i64,
}

/// A refund that happened.
#[derive(Debug, Serialize)]
pub struct Refund {
    id: i64,
    payment_id: i64,
    amount_cents: i64,
    /// Seconds since 1970.
    created_at: i64,
}

/// Charges once per key; 422 when the key was used for another charge.
pub fn charge(
    tx: &Transaction<'_>,
    charge: &Charge,
    key: &IdempotencyKey,
) -> Result<Recorded<Payment>, Problem> {
    let request = canonical(charge)?;
    if let Some(id) = PAYMENTS.recall(tx, key, &request)? {
        return payment(tx, id).map(Recorded::Replayed);
    }
    let id = insert_payment(tx, charge, key, &request)?;
    payment(tx, id).map(Recorded::New)
}

/// One payment; 404 without.
pub fn payment(db: &Connection, id: i64) -> Result<Payment, Problem> {
    let sql =
        "SELECT id, order_id, amount_cents, currency, refunded_cents, created_at FROM payment WHERE id = ?1";
    let found = db.prepare_cached(sql)?.query_row([id], as_payment).optional()?;
    found.ok_or_else(|| Problem::not_found(format!("payment {id}")))
}

/// Refunds once per key, and never more in all than was charged (409); 422 when the key was used for another refund,
/// also of another payment; 404 without a payment.
pub fn refund(
    tx: &Transaction<'_>,
    payment_id: i64,
    order: RefundOrder,
    key: &IdempotencyKey,
) -> Result<Recorded<Refund>, Problem> {
    let request = canonical(&(payment_id, order.amount_cents))?;
    if let Some(id) = REFUNDS.recall(tx, key, &request)? {
        return refunded(tx, id).map(Recorded::Replayed);
    }
    give_back(tx, payment_id, order.amount_cents)?;
    let id = insert_refund(tx, payment_id, order.amount_cents, key, &request)?;
    refunded(tx, id).map(Recorded::New)
}

fn give_back(tx: &Transaction<'_>, payment_id: i64, amount: Cents) -> Result<(), Problem> {
    let payment = payment(tx, payment_id)?;
    if amount.get() > payment.amount_cents - payment.refunded_cents {
        return Err(exceeds(&payment, amount));
    }
    let mut update =
        tx.prepare_cached("UPDATE payment SET refunded_cents = refunded_cents + ?2 WHERE id = ?1")?;
    update.execute([payment_id, amount.get()])?;
    Ok(())
}

fn refunded(db: &Connection, id: i64) -> Result<Refund, Problem> {
    let sql = "SELECT id, payment_id, amount_cents, created_at FROM refund WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([id], as_refund)?)
}

fn insert_payment(
    tx: &Transaction<'_>,
    charge: &Charge,
    key: &IdempotencyKey,
    request: &str,
) -> Result<i64, Problem> {
    let sql = "INSERT INTO payment (order_id, amount_cents, currency, idempotency_key, request)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let Charge { order_id, amount_cents, currency } = charge;
    let values = params![order_id, amount_cents.get(), currency.as_str(), key.as_str(), request];
    Ok(tx.prepare_cached(sql)?.insert(values)?)
}

fn insert_refund(
    tx: &Transaction<'_>,
    payment_id: i64,
    amount: Cents,
    key: &IdempotencyKey,
    request: &str,
) -> Result<i64, Problem> {
    let sql =
        "INSERT INTO refund (payment_id, amount_cents, idempotency_key, request) VALUES (?1, ?2, ?3, ?4)";
    Ok(tx.prepare_cached(sql)?.insert(params![payment_id, amount.get(), key.as_str(), request])?)
}

fn as_payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    Ok(Payment {
        id: row.get(0)?,
        order_id: row.get(1)?,
        amount_cents: row.get(2)?,
        currency: row.get(3)?,
        refunded_cents: row.get(4)?,
        created_at: row.get(5)?,
    })
}

fn as_refund(row: &Row<'_>) -> rusqlite::Result<Refund> {
    Ok(Refund {
        id: row.get(0)?,
        payment_id: row.get(1)?,
        amount_cents: row.get(2)?,
        created_at: row.get(3)?,
    })
}

fn exceeds(payment: &Payment, wanted: Cents) -> Problem {
    let left = payment.amount_cents - payment.refunded_cents;
    let detail = format!("payment {}: {} wanted back, {left} left", payment.id, wanted.get());
    Problem::new(StatusCode::CONFLICT, "refund_exceeds_charge", detail)
}
