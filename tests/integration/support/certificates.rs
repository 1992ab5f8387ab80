//! Certificates of a test's own, in files of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use tempfile::TempDir;

/// Somebody who issues certificates, and the directory where they are.
pub struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one; its own certificate is in `ca.pem`, its key in `ca.key`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (key, mut params) = (new_key(&rcgen::PKCS_ECDSA_P256_SHA256), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Shop CA");
        let certificate = params.self_signed(&key).expect("a certificate");
        write(&directory.path().join("ca.pem"), &certificate.pem());
        write(&directory.path().join("ca.key"), &key.serialize_pem());
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// A file in the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Whom a client has to trust.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Writes `name.pem` and `name.key` for these hosts, with a key of a usual kind.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> &Self {
        self.issue_with(name, hosts, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// Writes `name.pem` and `name.key` for these hosts.
    pub fn issue_with(&self, name: &str, hosts: &[&str], algorithm: &'static SignatureAlgorithm) -> &Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        self.write(name, &params, algorithm);
        self
    }

    /// Writes `name.pem` and `name.key`, of a certificate that expired long ago.
    pub fn issue_expired(&self, name: &str) -> &Self {
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).expect("a host");
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.write(name, &params, &rcgen::PKCS_ECDSA_P256_SHA256);
        self
    }

    /// `{ cert: ..., key: ... }` of what was issued under this name.
    pub fn pair(&self, name: &str) -> String {
        let [cert, key] = ["pem", "key"].map(|ending| self.path(&format!("{name}.{ending}")));
        format!("{{ cert: \"{}\", key: \"{}\" }}", cert.display(), key.display())
    }

    /// The listener `web` with these certificates, and more keys of `tls`.
    pub fn listener(&self, names: &[&str], more: &str) -> String {
        let pairs: Vec<String> = names.iter().map(|name| self.pair(name)).collect();
        let certificates = pairs.join(", ");
        format!("web: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [ {certificates} ] {more} }} }}")
    }

    fn write(&self, name: &str, params: &CertificateParams, algorithm: &'static SignatureAlgorithm) {
        let key = new_key(algorithm);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        write(&self.path(&format!("{name}.pem")), &certificate.pem());
        write(&self.path(&format!("{name}.key")), &key.serialize_pem());
    }
}

fn new_key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

/// Beside it, then over it, for nobody but its owner to read.
fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("write");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).expect("mode");
    fs::rename(beside, path).expect("rename");
}
