//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::pki::{Credential, KeyKind, Name};

/// The certificates of one listener by the names they are for. Those for one name stand in the order in which they are
/// preferred: by the kind of the key, then as in the config.
#[derive(Debug)]
pub(super) struct Choice {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// The first of the config, and those that are for the same names with a key of another kind. Never empty.
    default: Vec<Arc<CertifiedKey>>,
}

impl Choice {
    /// # Panics
    /// Where there is no certificate.
    pub(super) fn new(credentials: &[Arc<Credential>]) -> Self {
        let first = credentials.first().expect("a listener with TLS has a certificate");
        let mut preferred: Vec<&Arc<Credential>> = credentials.iter().collect();
        preferred.sort_by_key(|credential| credential.kind);
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for credential in &preferred {
            for name in &credential.leaf.names {
                let (map, key) = match name {
                    Name::Exact(name) => (&mut exact, name),
                    Name::Wildcard(domain) => (&mut wildcard, domain),
                };
                let list: &mut Vec<_> = map.entry(key.clone()).or_default();
                list.push(Arc::clone(&credential.certified));
            }
        }
        let siblings = preferred.iter().filter(|credential| is_sibling(credential, first));
        let default = siblings.map(|credential| Arc::clone(&credential.certified)).collect();
        Self { exact, wildcard, default }
    }

    /// The best certificate for a name (RFC 6066 section 3) among those whose key the client can verify. Where there is none
    /// for the name, or no name was given, that is the default: the client will say that it is not for what it asked.
    pub(super) fn of(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let named = name
            .map(|name| self.named(name))
            .filter(|[exact, wildcard]| !exact.is_empty() || !wildcard.is_empty());
        let candidates = named.unwrap_or([&self.default, &[]]);
        let mut all = candidates.into_iter().flatten();
        let verified = all.clone().find(|certified| certified.key.choose_scheme(schemes).is_some());
        // With a key that the client cannot verify, the handshake fails and says why.
        let any = verified.or_else(|| all.next()).or_else(|| self.default.first());
        Arc::clone(any.expect("there is a default"))
    }

    fn named(&self, name: &str) -> [&[Arc<CertifiedKey>]; 2] {
        let name = name.trim_end_matches('.');
        let exact = self.exact.get(name).map_or(&[][..], Vec::as_slice);
        let domain = name.split_once('.').and_then(|(_, domain)| self.wildcard.get(domain));
        [exact, domain.map_or(&[][..], Vec::as_slice)]
    }
}

/// Whether the two differ in nothing but the kind of their keys.
fn is_sibling(one: &Credential, first: &Credential) -> bool {
    let names = |credential: &Credential| {
        let mut names = credential.leaf.names.clone();
        names.sort();
        names
    };
    let is_first = Arc::ptr_eq(&one.certified, &first.certified);
    is_first || one.kind != first.kind && one.kind != KeyKind::Other && names(one) == names(first)
}
