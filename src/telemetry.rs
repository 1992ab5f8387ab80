//! What is known of finished requests: recorded on the workers, added up elsewhere, shown by the admin server.

pub mod access_log;
pub mod aggregate;
pub mod health;
pub mod hedges;
pub mod metrics;
pub mod record;
pub mod recorder;
