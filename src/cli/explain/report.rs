//! The lines that are printed, each with a label in front.

use std::fmt::{Display, Write};

use crate::config::plain;
use crate::policy::reason::Reason;

/// Columns of a label.
const LABEL: usize = 11;

/// Text for a terminal, and whether an endpoint would get the request, or its route answers it.
#[derive(Debug)]
pub(super) struct Report {
    text: String,
    served: bool,
}

impl Report {
    pub(super) fn new(title: &str) -> Self {
        Self { text: format!("{}\n\n", plain(title)), served: false }
    }

    /// A line with a label; an empty one continues the line before.
    pub(super) fn line(&mut self, label: &str, text: impl Display) {
        let text = plain(&text.to_string());
        writeln!(self.text, "{label:LABEL$}{text}").expect("writing to memory does not fail");
    }

    /// An endpoint would get the request.
    pub(super) fn served(&mut self) {
        self.served = true;
    }

    /// The route itself answers it, as it is meant to.
    pub(super) fn answered(&mut self, reason: Reason) {
        self.refused(reason);
        self.served();
    }

    /// Tillgate would answer by itself.
    pub(super) fn refused(&mut self, reason: Reason) {
        self.line("answer", format!("{} by Tillgate itself: {}", reason.status(), reason.name()));
        self.line("", reason.text());
    }

    pub(super) fn is_served(&self) -> bool {
        self.served
    }

    pub(super) fn text(&self) -> String {
        self.text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
