//! Session tickets (RFC 5077; RFC 8446 section 2.2): what a client needs to resume, sealed and kept by the client.
//!
//! One key for all workers, drawn anew every six hours and taken for twelve, kept over reloads. But who resumes is not asked
//! for a certificate again: a ticket must not outlive the rules by which the client was let in.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::ProducesTickets;

use crate::config::ClientAuthMode;
use crate::pki::Authorities;

/// The tickets of one listener.
#[derive(Debug)]
pub(super) struct Tickets {
    ticketer: Arc<dyn ProducesTickets>,
    /// Who was asked for what when they were given out.
    audience: Audience,
}

/// How clients prove who they are, and to whom; `None` where they need not.
type Audience = Option<(ClientAuthMode, Authorities)>;

impl Tickets {
    /// Those of before, while clients are let in by the same rules, or new ones. No machine without random numbers gets here.
    pub(super) fn following(previous: Option<&Self>, audience: Audience) -> Self {
        let kept = previous.filter(|previous| is_same(&previous.audience, &audience));
        let ticketer = match kept {
            Some(previous) => Arc::clone(&previous.ticketer),
            None => aws_lc_rs::Ticketer::new().expect("the system has random numbers"),
        };
        Self { ticketer, audience }
    }

    pub(super) fn ticketer(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.ticketer)
    }
}

fn is_same(before: &Audience, now: &Audience) -> bool {
    match (before, now) {
        (None, None) => true,
        (Some((mode, authorities)), Some((mode_now, authorities_now))) => {
            mode == mode_now && authorities.is(authorities_now)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}
