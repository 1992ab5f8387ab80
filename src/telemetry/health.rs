//! What the health checks have found so far, for the admin API and the metrics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::policy::health::Record;
use crate::snapshot::Id;

/// Of the endpoints that are checked. Written and read on the control thread alone, so that nobody waits for the lock.
pub type Records = Arc<Mutex<HashMap<Id, Record>>>;
