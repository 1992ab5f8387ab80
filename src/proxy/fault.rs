//! Faults that a shop injects on purpose, to see how the rest of it takes them.

use std::sync::atomic::Ordering::Relaxed;

use http::HeaderMap;

use super::exchange::Exchange;
use super::view::Worker;
use crate::config::{Abort, Delay};
use crate::policy::draw::is_hit;
use crate::policy::reason::Reason;
use crate::snapshot::Fault;

/// Holds the request back, refuses it, or both, where its route does so on purpose and it is one of those meant.
///
/// # Errors
/// It is refused, or has used up its time.
pub async fn inject(
    worker: &Worker,
    exchange: &mut Exchange,
    fault: Option<&Fault>,
    headers: &HeaderMap,
) -> Result<(), Reason> {
    match fault {
        None => Ok(()),
        // Boxed, as it is rare: the future of every request would be as large.
        Some(fault) => Box::pin(meet(worker, exchange, fault, headers)).await,
    }
}

async fn meet(
    worker: &Worker,
    exchange: &mut Exchange,
    fault: &Fault,
    headers: &HeaderMap,
) -> Result<(), Reason> {
    let Fault { config, counts } = fault;
    if config.when.as_ref().is_some_and(|header| !headers.contains_key(header)) {
        return Ok(());
    }
    let is_hit = |share| is_hit(share, &mut worker.rng.borrow_mut());
    if let Some(delay) = config.delay.filter(|delay| is_hit(delay.percent)) {
        counts.delay.fetch_add(1, Relaxed);
        hold_back(exchange, delay).await?;
    }
    match config.abort.filter(|abort| is_hit(abort.percent)) {
        None => Ok(()),
        Some(Abort { status, .. }) => {
            counts.abort.fetch_add(1, Relaxed);
            Err(Reason::FaultInjected(status))
        }
    }
}

/// No longer than the route allows for the whole. A client that leaves meanwhile ends it with its connection.
async fn hold_back(exchange: &mut Exchange, delay: Delay) -> Result<(), Reason> {
    let left = exchange.left().unwrap_or(delay.length);
    tokio::time::sleep(delay.length.min(left)).await;
    exchange.held_back();
    if left < delay.length { Err(Reason::RequestTimeout) } else { Ok(()) }
}
