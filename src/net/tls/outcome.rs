//! What becomes of handshakes, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{Error, ProtocolVersion};

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It was not done in time.
    Timeout,
    /// The client went away, or the connection broke.
    Closed,
    /// The client spoke HTTP without TLS, and was told so.
    PlainHttp,
    /// The two have no version, cipher or protocol in common.
    NothingInCommon,
    /// The client showed no certificate, or one that is not accepted.
    ClientCertificate,
    /// The client did not like what it saw, most often the certificate.
    RefusedByClient,
    /// What arrived is not TLS, or breaks its rules.
    Malformed,
    /// Anything else.
    Other,
}

impl Failure {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Closed,
        Self::PlainHttp,
        Self::NothingInCommon,
        Self::ClientCertificate,
        Self::RefusedByClient,
        Self::Malformed,
        Self::Other,
    ];

    /// The word used for it in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::PlainHttp => "plain_http",
            Self::NothingInCommon => "nothing_in_common",
            Self::ClientCertificate => "client_certificate",
            Self::RefusedByClient => "refused_by_client",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }

    /// What an error of the library is.
    pub(super) fn of(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error),
            None => Self::Closed,
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::NothingInCommon,
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) | Error::UnsupportedNameType => {
                Self::ClientCertificate
            }
            Error::AlertReceived(_) => Self::RefusedByClient,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Self::Malformed,
            // The list of the library may grow.
            _ => Self::Other,
        }
    }
}

/// Handshakes of one listener over all workers.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// By version, and within it in full or resumed.
    done: [[AtomicU64; 2]; 2],
    failed: [AtomicU64; Failure::ALL.len()],
}

/// Handshakes that were finished, with what they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// As in `1.3`.
    pub version: &'static str,
    /// Whether they went on with a session of before.
    pub resumed: bool,
    /// How many.
    pub count: u64,
}

impl Handshakes {
    /// One more was finished.
    pub(super) fn count_done(&self, version: Option<ProtocolVersion>, resumed: bool) {
        let version = usize::from(version == Some(ProtocolVersion::TLSv1_3));
        self.done[version][usize::from(resumed)].fetch_add(1, Ordering::Relaxed);
    }

    /// One more failed.
    pub(super) fn count_failed(&self, failure: Failure) {
        self.failed[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Those that were finished.
    pub fn done(&self) -> impl Iterator<Item = Done> {
        let versions = ["1.2", "1.3"].into_iter().zip(&self.done);
        versions.flat_map(|(version, counts)| {
            [false, true].into_iter().zip(counts).map(move |(resumed, count)| Done {
                version,
                resumed,
                count: count.load(Ordering::Relaxed),
            })
        })
    }

    /// Those that failed, by why.
    pub fn failed(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(self.failed.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
