//! The order service over HTTP. What an order does to the stock is in [`ledger`].

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::extract::{Body, Id, Params};
use crate::idempotency::{IdempotencyKey, Recorded};
use crate::problem::Problem;
use crate::store::{Schema, Store};

pub mod draft;
pub mod ledger;

use draft::Draft;
use ledger::{Order, Product};

/// Products, orders, and the products every new store begins with.
pub const SCHEMA: Schema = Schema { application_id: 0x5447_4f52, create: include_str!("orders/schema.sql") };

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;

/// All paths but `/healthz`.
pub fn routes() -> Router<Store> {
    Router::new()
        .route("/products", get(products))
        .route("/products/{id}", get(product))
        .route("/orders", get(orders).post(place))
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/cancel", post(cancel))
}

async fn products(State(store): State<Store>) -> Result<Json<Value>, Problem> {
    let products = store.read(|db| ledger::products(db, MAX_PAGE)).await?;
    Ok(Json(json!({ "products": products })))
}

async fn product(State(store): State<Store>, Id(id): Id) -> Result<Json<Product>, Problem> {
    store.read(move |db| ledger::product(db, id)).await.map(Json)
}

async fn place(
    State(store): State<Store>,
    key: Option<IdempotencyKey>,
    Body(draft): Body<Draft>,
) -> Result<Recorded<Order>, Problem> {
    store.write(move |tx| ledger::place(tx, &draft, key.as_ref())).await
}

async fn order(State(store): State<Store>, Id(id): Id) -> Result<Json<Order>, Problem> {
    store.read(move |db| ledger::order(db, id)).await.map(Json)
}

async fn cancel(State(store): State<Store>, Id(id): Id) -> Result<Json<Order>, Problem> {
    store.write(move |tx| ledger::cancel(tx, id)).await.map(Json)
}

/// `?limit=` of 1 to 200 orders with an id above `?after=`.
#[derive(Deserialize)]
struct Page {
    limit: Option<u32>,
    after: Option<i64>,
}

async fn orders(State(store): State<Store>, Params(page): Params<Page>) -> Result<Json<Value>, Problem> {
    let limit = page.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::malformed(format!("limit is 1 to {MAX_PAGE}")));
    }
    let orders = store.read(move |db| ledger::summaries(db, page.after.unwrap_or(0), limit)).await?;
    Ok(Json(json!({ "orders": orders })))
}
