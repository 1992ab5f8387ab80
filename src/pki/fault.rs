//! What is wrong with a file that the config names.

use std::fmt;
use std::path::{Path, PathBuf};

/// Which of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `cert`.
    Certificate,
    /// `key`.
    Key,
    /// `ocsp`.
    Staple,
    /// `ca`.
    Authorities,
}

/// Something that is wrong, or odd, with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which of the files.
    pub part: Part,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong, without the path.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn new(part: Part, path: &Path, message: impl Into<String>) -> Self {
        Self { part, path: path.to_path_buf(), message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for Fault {}
