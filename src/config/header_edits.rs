//! `routes[].request_headers` and `routes[].response_headers`: data only.

use http::{HeaderName, HeaderValue};

/// What is done to the headers of a message, in this order. No name here is one that a message is framed by, or that
/// Tillgate writes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// These go, with all their values.
    pub remove: Vec<HeaderName>,
    /// These get this value in place of those they have.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// These get this value beside those they have; a name may stand here more than once.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
