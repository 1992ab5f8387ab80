//! `Idempotency-Key`: a request that is sent twice takes effect once.
//!
//! The key is a unique column beside what it made, and the request as it was understood is kept with it. So the promise
//! holds across replicas and restarts, for as long as the row lives.

use axum::Json;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rusqlite::{OptionalExtension, Transaction};
use serde::Serialize;

use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
const MAX_LENGTH: usize = 128;

/// What a client calls one attempt to buy, pay or refund: 1 to 128 visible ASCII characters.
///
/// As an extractor it is required (400 without); `Option<IdempotencyKey>` is not, but still refuses a bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// As a value for SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match value.to_str() {
                Ok(key) if (1..=MAX_LENGTH).contains(&key.len()) => Ok(Some(Self(key.to_owned()))),
                _ => {
                    Err(Problem::malformed(format!("{HEADER} is 1 to {MAX_LENGTH} visible ASCII characters")))
                }
            },
            (Some(_), Some(_)) => Err(Problem::malformed(format!("more than one {HEADER}"))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::parse(&parts.headers)?.ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_missing",
                format!("send the header {HEADER}"),
            )
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        Self::parse(&parts.headers)
    }
}

/// What a request made, and whether it was this request or an earlier one with its key.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded<T> {
    /// Answered 201.
    New(T),
    /// Answered 200.
    Replayed(T),
}

impl<T: Serialize> IntoResponse for Recorded<T> {
    fn into_response(self) -> Response {
        match self {
            Self::New(made) => (StatusCode::CREATED, Json(made)).into_response(),
            Self::Replayed(made) => (StatusCode::OK, Json(made)).into_response(),
        }
    }
}

/// A table with the columns `id`, `idempotency_key` and `request`.
#[derive(Debug, Clone, Copy)]
pub struct KeyedTable(pub &'static str);

impl KeyedTable {
    /// The id of what `key` made before, if anything; 422 when that was made by another `request`.
    ///
    /// Only a write transaction makes the answer hold until the row is inserted.
    pub fn recall(
        self,
        tx: &Transaction<'_>,
        key: &IdempotencyKey,
        request: &str,
    ) -> Result<Option<i64>, Problem> {
        let sql = format!("SELECT id, request FROM {} WHERE idempotency_key = ?1", self.0);
        let found = tx
            .prepare_cached(&sql)?
            .query_row([key.as_str()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        match found {
            None => Ok(None),
            Some((id, earlier)) if earlier == request => Ok(Some(id)),
            Some(_) => Err(reused()),
        }
    }
}

/// A request as it was understood, in one spelling: white space and the order of keys do not make it another.
pub fn canonical(request: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(request).map_err(|error| Problem::internal(error.to_string()))
}

fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "the key was used with another request before",
    )
}
