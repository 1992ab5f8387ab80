//! The payment service over HTTP. What a charge and a refund are is in [`ledger`].

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::extract::{Body, Id};
use crate::idempotency::{IdempotencyKey, Recorded};
use crate::problem::Problem;
use crate::store::{Schema, Store};

pub mod ledger;
pub mod money;

use ledger::{Charge, Payment, Refund, RefundOrder};

/// Payments and refunds, none at first.
pub const SCHEMA: Schema =
    Schema { application_id: 0x5447_5041, create: include_str!("payments/schema.sql") };

/// All paths but `/healthz`.
pub fn routes() -> Router<Store> {
    Router::new()
        .route("/payments", post(charge))
        .route("/payments/{id}", get(payment))
        .route("/payments/{id}/refund", post(refund))
}

async fn charge(
    State(store): State<Store>,
    key: IdempotencyKey,
    Body(charge): Body<Charge>,
) -> Result<Recorded<Payment>, Problem> {
    store.write(move |tx| ledger::charge(tx, &charge, &key)).await
}

async fn payment(State(store): State<Store>, Id(id): Id) -> Result<Json<Payment>, Problem> {
    store.read(move |db| ledger::payment(db, id)).await.map(Json)
}

async fn refund(
    State(store): State<Store>,
    Id(payment_id): Id,
    key: IdempotencyKey,
    Body(order): Body<RefundOrder>,
) -> Result<Recorded<Refund>, Problem> {
    store.write(move |tx| ledger::refund(tx, payment_id, order, &key)).await
}
