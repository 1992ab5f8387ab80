//! Holds what the test wants held, until the test lets it go.

use std::sync::{Arc, Condvar, Mutex};

use super::DEADLINE;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody through, now and from now on.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().expect("gate") = true;
        changed.notify_all();
    }

    /// Waits until the gate is open, or the test has given up.
    pub fn pass(&self) {
        let (open, changed) = &*self.0;
        let open = open.lock().expect("gate");
        drop(changed.wait_timeout_while(open, DEADLINE, |open| !*open).expect("gate"));
    }
}
