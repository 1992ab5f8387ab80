//! TLS of listeners: what their handshakes are made with, from the files that the config names.
//!
//! A [`Termination`] never changes. What follows a config, or files that were replaced, is a new one beside it, for the
//! connections to come; it has the tickets and the counts of the one before.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion, version};

use crate::config::{ClientAuth, ClientAuthMode, ListenerTls, TlsVersion};
use crate::pki::{self, Authorities, Credential, Fault};

mod choice;
mod handshake;
mod outcome;
mod tickets;

#[cfg(test)]
mod tests;

use choice::Choice;
use tickets::Tickets;

pub use handshake::{Session, Shaken, shake_hands};
pub use outcome::{Failure, Handshakes};

/// Bytes of authorities' names that a client is told to choose its certificate by. More than a handful tell it nothing, and
/// some clients refuse a long list.
const MOST_HINTS: usize = 16 * 1024;

static ONLY_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// The TLS of one listener.
#[derive(Debug)]
pub struct Termination {
    /// What handshakes are made with.
    pub server: Arc<ServerConfig>,
    /// In the order of the config.
    pub credentials: Vec<Arc<Credential>>,
    /// What became of handshakes, since the listener was opened.
    pub handshakes: Arc<Handshakes>,
    settings: ListenerTls,
    authorities: Option<Authorities>,
    tickets: Option<Tickets>,
}

/// What another look at the files has brought.
#[derive(Debug)]
pub struct Refreshed {
    /// What takes the place of the one before, if anything is new.
    pub next: Option<Termination>,
    /// The files that cannot be used; what they were before stays in use.
    pub faults: Vec<Fault>,
}

impl Termination {
    /// Reads every file that `settings` names, to follow `previous` on the same listener.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn build(settings: &ListenerTls, previous: Option<&Self>) -> Result<Self, Vec<Fault>> {
        let now = pki::now();
        let (mut credentials, mut faults) = (Vec::with_capacity(settings.certificates.len()), Vec::new());
        for files in &settings.certificates {
            match Credential::read(files, now) {
                Ok(credential) => credentials.push(Arc::new(credential)),
                Err(fault) => faults.push(fault),
            }
        }
        let authorities = settings.client_auth.as_ref().map(|auth| Authorities::read(&auth.ca)).transpose();
        match authorities {
            Ok(authorities) if faults.is_empty() => {
                Ok(Self::assemble(settings.clone(), credentials, authorities, previous))
            }
            Ok(_) => Err(faults),
            Err(fault) => Err(faults.into_iter().chain([fault]).collect()),
        }
    }

    /// Reads the files again. Each stands for itself: one that cannot be used keeps no other from being renewed.
    pub fn refresh(&self) -> Refreshed {
        let (now, mut faults) = (pki::now(), Vec::new());
        let credentials: Vec<Arc<Credential>> =
            self.credentials.iter().map(|known| reread(known, now, &mut faults)).collect();
        let authorities = self.authorities.as_ref().map(|known| self.reread_authorities(known, &mut faults));
        let same = credentials.iter().zip(&self.credentials).all(|(next, known)| Arc::ptr_eq(next, known))
            && authorities.as_ref().zip(self.authorities.as_ref()).is_none_or(|(next, known)| next.is(known));
        let next =
            (!same).then(|| Self::assemble(self.settings.clone(), credentials, authorities, Some(self)));
        Refreshed { next, faults }
    }

    /// Every file that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.settings.files()
    }

    /// Whether clients are asked for certificates.
    pub fn client_auth(&self) -> Option<ClientAuthMode> {
        self.settings.client_auth.as_ref().map(|auth| auth.mode)
    }

    fn reread_authorities(&self, known: &Authorities, faults: &mut Vec<Fault>) -> Authorities {
        let read = self.settings.client_auth.as_ref().map(|auth| Authorities::read(&auth.ca));
        match read {
            Some(Ok(read)) => read,
            Some(Err(fault)) => {
                faults.push(fault);
                known.clone()
            }
            None => known.clone(),
        }
    }

    fn assemble(
        settings: ListenerTls,
        credentials: Vec<Arc<Credential>>,
        authorities: Option<Authorities>,
        previous: Option<&Self>,
    ) -> Self {
        let tickets = settings.session_tickets.then(|| {
            let audience = settings.client_auth.as_ref().map(|auth| auth.mode).zip(authorities.clone());
            Tickets::following(previous.and_then(|previous| previous.tickets.as_ref()), audience)
        });
        let handshakes = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.handshakes));
        let server = server_config(&settings, &credentials, authorities.as_ref(), tickets.as_ref());
        Self { server: Arc::new(server), credentials, handshakes, settings, authorities, tickets }
    }
}

/// What the files hold now, or what they held if that cannot be used.
fn reread(known: &Arc<Credential>, now: i64, faults: &mut Vec<Fault>) -> Arc<Credential> {
    match Credential::read(&known.files, now) {
        Ok(read) if read.is(known) => Arc::clone(known),
        Ok(read) => Arc::new(read),
        Err(fault) => {
            faults.push(fault);
            Arc::clone(known)
        }
    }
}

fn server_config(
    settings: &ListenerTls,
    credentials: &[Arc<Credential>],
    authorities: Option<&Authorities>,
    tickets: Option<&Tickets>,
) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(versions(settings.min_version));
    let builder = builder.expect("the provider speaks both versions");
    let builder = builder.with_client_cert_verifier(verifier(settings.client_auth.as_ref(), authorities));
    let mut config = builder.with_cert_resolver(Arc::new(Choice::new(credentials)));
    config.alpn_protocols = settings.alpn.iter().map(|protocol| protocol.name().into()).collect();
    // A cache would be a lock that workers share; tickets keep the state with the client.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match tickets {
        Some(tickets) => config.ticketer = tickets.ticketer(),
        None => config.send_tls13_tickets = 0,
    }
    // Early data can be sent again by anybody who has seen it, and so could a payment in it.
    config.max_early_data_size = 0;
    config
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match min {
        TlsVersion::V1_2 => ALL_VERSIONS,
        TlsVersion::V1_3 => ONLY_1_3,
    }
}

fn verifier(auth: Option<&ClientAuth>, authorities: Option<&Authorities>) -> Arc<dyn ClientCertVerifier> {
    let Some((auth, authorities)) = auth.zip(authorities) else {
        return WebPkiClientVerifier::no_client_auth();
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities.roots), provider);
    let hints: usize = authorities.roots.subjects().iter().map(|subject| subject.as_ref().len()).sum();
    if hints > MOST_HINTS {
        builder = builder.clear_root_hint_subjects();
    }
    let builder = match auth.mode {
        ClientAuthMode::Require => builder,
        ClientAuthMode::Optional => builder.allow_unauthenticated(),
    };
    builder.build().expect("there is an authority, and there are no revocation lists")
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.of(hello.server_name(), hello.signature_schemes()))
    }
}
