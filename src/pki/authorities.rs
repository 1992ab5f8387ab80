//! Whose certificates clients or endpoints may show.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::fault::{Fault, Part};
use super::file::Contents;

/// Certificates in one file: every public authority there is, several times over.
const MOST: usize = 10_000;

/// The authorities of one file.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// Their certificates.
    pub roots: Arc<RootCertStore>,
    digest: [u8; 32],
}

impl Authorities {
    /// Reads a file of one or more certificates in PEM.
    ///
    /// # Errors
    /// It cannot be read, there is none in it, or one of them is not a certificate.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let bytes = Contents::read(path, Part::Authorities)?.bytes;
        let fault = |message: String| Fault::new(Part::Authorities, path, message);
        let mut roots = RootCertStore::empty();
        for (place, found) in CertificateDer::pem_slice_iter(&bytes).take(MOST).enumerate() {
            let number = place + 1;
            let der = found.map_err(|error| fault(format!("certificate {number} is damaged: {error}")))?;
            roots.add(der).map_err(|error| fault(format!("certificate {number} is not one: {error}")))?;
        }
        if roots.is_empty() {
            return Err(fault("there is no certificate in it".to_owned()).hint(
                "it has to be PEM, with `-----BEGIN CERTIFICATE-----`; from DER: openssl x509 -inform der -in FILE",
            ));
        }
        Ok(Self { roots: Arc::new(roots), digest: Sha256::digest(&bytes).into() })
    }

    /// Whether both were read from the same bytes.
    pub fn is(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}
