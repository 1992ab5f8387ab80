//! Certificates for endpoints of a test's own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

/// Somebody whom endpoints have their certificates from.
pub struct Issuer {
    directory: TempDir,
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Issuer {
    /// Its own certificate is in [`Issuer::ca`].
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (key, mut params) = (KeyPair::generate().expect("a key"), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Shop CA");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("write");
        Self { directory, issuer: rcgen::Issuer::new(params, key), certificate }
    }

    /// The file with its certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// `{ cert, key }` of a new certificate, in files.
    pub fn pair(&self) -> String {
        let (certificate, key) = self.issue(&["tillgate.internal"], false);
        let (cert, file) = (self.directory.path().join("a.pem"), self.directory.path().join("a.key"));
        fs::write(&cert, certificate.pem()).expect("write");
        fs::write(&file, key.serialize_pem()).expect("write");
        format!("{{ cert: \"{}\", key: \"{}\" }}", cert.display(), file.display())
    }

    /// An endpoint that is one of `names` and agrees on one of `alpn`.
    pub fn server(&self, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_no_client_auth();
        self.finish(builder, names, false, alpn)
    }

    /// One whose certificate is of long ago.
    pub fn expired_server(&self, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_no_client_auth();
        self.finish(builder, names, true, alpn)
    }

    /// One that asks for a certificate of this issuer.
    pub fn asking_server(&self, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("an authority");
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
        let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
        self.finish(builder, names, false, alpn)
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        names: &[&str],
        expired: bool,
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(names, expired);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn issue(&self, names: &[&str], expired: bool) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }
}
