//! A certificate chain with the key that belongs to it.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use super::fault::{Fault, Part};
use super::file::Contents;
use super::leaf::Leaf;
use super::staple::Staple;
use crate::config::{self, Certificate};

/// Certificates of one chain: a leaf and its intermediates, of which there are seldom more than two.
const LONGEST_CHAIN: usize = 16;

/// What a listener shows to its clients, or an upstream to its endpoints, to prove who it is.
#[derive(Debug, Clone)]
pub struct Credential {
    /// What the handshake needs; with the staple, unless that is out of date.
    pub certified: Arc<CertifiedKey>,
    /// What the certificate says.
    pub leaf: Leaf,
    /// The kind of its key.
    pub kind: KeyKind,
    /// When the staple has to go, in seconds since 1970.
    pub staple_until: Option<i64>,
    /// Where it was read from.
    pub files: Certificate,
    /// What is odd about its files.
    pub oddities: Vec<Fault>,
    digest: [u8; 32],
}

/// Who looks at a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Clients,
    Endpoints,
}

/// The kind of a key, the preferred one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// On a curve of NIST's: small, fast, and known to every client of this age.
    Ecdsa,
    /// Known to few clients.
    Ed25519,
    /// Known to all, and a tenth as fast.
    Rsa,
    /// What the library may learn.
    Other,
}

impl KeyKind {
    /// The word used for it in the admin API and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
            Self::Other => "other",
        }
    }

    fn of(key: &dyn SigningKey) -> Self {
        match key.algorithm() {
            SignatureAlgorithm::ECDSA => Self::Ecdsa,
            SignatureAlgorithm::ED25519 => Self::Ed25519,
            SignatureAlgorithm::RSA => Self::Rsa,
            _ => Self::Other,
        }
    }
}

impl Credential {
    /// Reads the files of one certificate, and holds them to each other. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The first thing for which it cannot be served.
    pub fn read(files: &Certificate, now: i64) -> Result<Self, Fault> {
        Self::read_for(Audience::Clients, files, now)
    }

    /// The same, of what is shown to endpoints. It is told by its subject as often as by its names.
    ///
    /// # Errors
    /// The first thing for which it cannot be shown.
    pub fn read_client(pair: &config::ClientCertificate, now: i64) -> Result<Self, Fault> {
        let files = Certificate { cert: pair.cert.clone(), key: pair.key.clone(), ocsp: None };
        Self::read_for(Audience::Endpoints, &files, now)
    }

    fn read_for(audience: Audience, files: &Certificate, now: i64) -> Result<Self, Fault> {
        let chain_file = Contents::read(&files.cert, Part::Certificate)?;
        let key_file = Contents::read(&files.key, Part::Key)?;
        let staple_file = files.ocsp.as_ref().map(|path| Contents::read(path, Part::Staple)).transpose()?;
        let chain = read_chain(&files.cert, &chain_file.bytes)?;
        let key = read_key(&files.key, &key_file.bytes)?;
        let leaf = read_leaf(&files.cert, &chain)?;
        let kind = KeyKind::of(&*key);
        let mut certified = CertifiedKey::new(chain, key);
        check_match(files, &certified)?;
        let mut oddities = leaf_oddities(audience, files, &leaf, now);
        oddities.extend(key_file.is_readable_by_all().then(|| readable_by_all(&files.key)));
        let mut staple_until = None;
        if let (Some(path), Some(file)) = (&files.ocsp, &staple_file) {
            staple_until = check_staple(path, &file.bytes, &leaf)?.next_update;
            match staple_until.is_some_and(|until| until <= now) {
                true => oddities.push(stale(path)),
                false => certified.ocsp = Some(file.bytes.clone()),
            }
        }
        let digest = digest(&[Some(&chain_file), Some(&key_file), staple_file.as_ref()]);
        let (certified, files) = (Arc::new(certified), files.clone());
        Ok(Self { certified, leaf, kind, staple_until, files, oddities, digest })
    }

    /// Whether it shows a staple that no client believes any more.
    pub fn shows_stale(&self, now: i64) -> bool {
        self.certified.ocsp.is_some() && self.staple_until.is_some_and(|until| until <= now)
    }

    /// Whether both come from the same bytes and show the same.
    pub fn is(&self, other: &Self) -> bool {
        self.digest == other.digest && self.certified.ocsp == other.certified.ocsp
    }
}

fn digest(files: &[Option<&Contents>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files.iter().copied().flatten() {
        digest.update(Sha256::digest(&file.bytes));
    }
    digest.finalize().into()
}

fn read_chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = |message: String| Fault::new(Part::Certificate, path, message);
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(bytes).take(LONGEST_CHAIN + 1).collect();
    let chain = found.map_err(|error| fault(format!("the file is damaged: {error}")))?;
    if chain.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()).hint(
            "it has to be PEM, with `-----BEGIN CERTIFICATE-----`; from DER: openssl x509 -inform der -in FILE",
        ));
    }
    if chain.len() > LONGEST_CHAIN {
        return Err(fault(format!("there are more than {LONGEST_CHAIN} certificates in it"))
            .hint("it holds one certificate and its intermediates, not all authorities"));
    }
    Ok(chain)
}

fn read_leaf(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Leaf, Fault> {
    let leaf = chain.first().and_then(|der| Leaf::of(der));
    leaf.ok_or_else(|| {
        Fault::new(Part::Certificate, path, "its first certificate is not a valid X.509 certificate")
    })
}

fn read_key(path: &Path, bytes: &[u8]) -> Result<Arc<dyn SigningKey>, Fault> {
    let der = match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(der) => der,
        Err(error) => return Err(no_key(path, bytes, &error)),
    };
    let key = aws_lc_rs::sign::any_supported_type(&der);
    key.map_err(|_| {
        Fault::new(Part::Key, path, "the key is damaged, or of a kind that is not supported")
            .hint("RSA of 2048 bits and more, ECDSA on P-256, P-384 or P-521, and Ed25519 are")
    })
}

fn no_key(path: &Path, bytes: &[u8], error: &pem::Error) -> Fault {
    let fault = |message: String| Fault::new(Part::Key, path, message);
    let is_encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
    match error {
        _ if is_encrypted => fault("the key is encrypted with a passphrase".to_owned())
            .hint("nobody is there to type it: write it without one, with openssl pkey -in FILE -out KEY"),
        pem::Error::NoItemsFound => fault("there is no private key in it".to_owned())
            .hint("it has to be PEM, as in `-----BEGIN PRIVATE KEY-----`"),
        error => fault(format!("the file is damaged: {error}")),
    }
}

fn check_match(files: &Certificate, certified: &CertifiedKey) -> Result<(), Fault> {
    match certified.keys_match() {
        // A key that does not tell its public half is found out by the first handshake.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(mismatch(files, certified)),
        Err(error) => Err(Fault::new(
            Part::Certificate,
            &files.cert,
            format!("its first certificate cannot be used: {error}"),
        )),
    }
}

fn mismatch(files: &Certificate, certified: &CertifiedKey) -> Fault {
    let message = format!("the key does not belong to the certificate in {}", files.cert.display());
    let fault = Fault::new(Part::Key, &files.key, message);
    let belongs = |der: &CertificateDer<'static>| {
        CertifiedKey::new(vec![der.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
    };
    match certified.cert.iter().position(belongs) {
        Some(place) => fault.hint(format!(
            "it belongs to the certificate that stands there as number {}: that one has to be the first",
            place + 1
        )),
        None => fault,
    }
}

fn leaf_oddities(audience: Audience, files: &Certificate, leaf: &Leaf, now: i64) -> Vec<Fault> {
    let odd = |message: &str| Fault::new(Part::Certificate, &files.cert, message);
    let consequence = match audience {
        Audience::Clients => "clients will not accept it",
        Audience::Endpoints => "endpoints that ask for it will not accept it",
    };
    let expired = (leaf.not_after < now).then(|| odd("the certificate has expired").hint(consequence));
    let early = (leaf.not_before > now).then(|| odd("the certificate is not valid yet"));
    let nameless = (audience == Audience::Clients && leaf.names.is_empty()).then(|| {
        odd("the certificate names no host in its subject alternative names")
            .hint("it is shown only where it stands first, and most clients will not accept it")
    });
    [expired, early, nameless].into_iter().flatten().collect()
}

fn readable_by_all(path: &Path) -> Fault {
    Fault::new(Part::Key, path, "every user of this machine may read the key")
        .hint(format!("chmod o-r {}", path.display()))
}

fn check_staple(path: &Path, bytes: &[u8], leaf: &Leaf) -> Result<Staple, Fault> {
    let fault = |message| Fault::new(Part::Staple, path, message);
    let staple = Staple::of(bytes).ok_or_else(|| {
        fault("this is not a successful OCSP response in DER").hint("openssl ocsp writes one with -respout")
    })?;
    if staple.serial != leaf.serial {
        return Err(fault("the OCSP response is about another certificate"));
    }
    Ok(staple)
}

fn stale(path: &Path) -> Fault {
    Fault::new(Part::Staple, path, "the OCSP response is out of date, and is not shown to clients")
}
