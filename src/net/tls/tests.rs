//! Whole handshakes in memory, between the listener's side and a client's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection};

use super::handshake::identity;
use super::*;
use crate::config::{Alpn, Certificate};

/// An authority, and a directory for what it issues.
struct Shop {
    directory: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Shop {
    fn new() -> Self {
        let (key, mut params) = (ecdsa(), CertificateParams::new(vec![]).expect("no names"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate").der().clone();
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, authority: Issuer::new(params, key), root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `file.pem` and `file.key`.
    fn issue_with(&self, file: &str, names: &[&str], algorithm: &'static SignatureAlgorithm) -> Certificate {
        let (cert, key) = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        let (pem, _, pair) = self.sign(names, algorithm);
        write(&cert, &pem);
        write(&key, &pair.serialize_pem());
        Certificate { cert, key, ocsp: None }
    }

    fn issue(&self, file: &str, names: &[&str]) -> Certificate {
        self.issue_with(file, names, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn sign(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
    ) -> (String, CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.authority).expect("a certificate");
        (certificate.pem(), certificate.der().clone(), key)
    }

    /// Writes the authority's own certificate.
    fn authorities(&self, file: &str) -> PathBuf {
        let path = self.path(file);
        write(&path, &pem(&self.root));
        path
    }

    fn client(&self) -> ClientConfig {
        self.client_speaking(rustls::ALL_VERSIONS)
    }

    fn client_speaking(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.builder(versions).with_no_client_auth()
    }

    fn client_with_certificate(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let (_, der, key) = self.sign(&["till-7.example"], &rcgen::PKCS_ECDSA_P256_SHA256);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        self.builder(versions).with_client_auth_cert(vec![der], key).expect("a client")
    }

    fn builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots)
    }
}

fn ecdsa() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
}

fn settings(certificates: Vec<Certificate>) -> ListenerTls {
    ListenerTls {
        certificates,
        min_version: TlsVersion::V1_2,
        client_auth: None,
        alpn: Alpn::ALL.to_vec(),
        session_tickets: true,
    }
}

fn build(settings: &ListenerTls) -> Termination {
    Termination::build(settings, None).expect("a termination")
}

/// Runs a handshake, and one more record from the server, with which tickets arrive.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Termination,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(&server.server)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        client.read_tls(&mut wire.as_slice()).expect("memory");
        client.process_new_packets()?;
    }
    Ok((client, server))
}

/// The certificate that a client is shown.
fn shown(client: &ClientConfig, server: &Termination, name: &str) -> CertificateDer<'static> {
    let mut client = client.clone();
    client.dangerous().set_certificate_verifier(Arc::new(Credulous));
    let (client, _) = shake(&Arc::new(client), server, name).expect("a handshake");
    client.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

/// Looks at no certificate, so that it can be asked what it was shown.
#[derive(Debug)]
struct Credulous;

impl rustls::client::danger::ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        use rustls::SignatureScheme as S;
        vec![S::ECDSA_NISTP256_SHA256, S::RSA_PSS_SHA256, S::ED25519]
    }
}

/// A client that takes nothing but RSA.
#[derive(Debug)]
struct OnlyRsa(Credulous);

impl rustls::client::danger::ServerCertVerifier for OnlyRsa {
    fn verify_server_cert(
        &self,
        a: &CertificateDer<'_>,
        b: &[CertificateDer<'_>],
        c: &ServerName<'_>,
        d: &[u8],
        e: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        self.0.verify_server_cert(a, b, c, d, e)
    }

    fn verify_tls12_signature(
        &self,
        a: &[u8],
        b: &CertificateDer<'_>,
        c: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(a, b, c)
    }

    fn verify_tls13_signature(
        &self,
        a: &[u8],
        b: &CertificateDer<'_>,
        c: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(a, b, c)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        use rustls::SignatureScheme as S;
        vec![S::RSA_PSS_SHA256, S::RSA_PKCS1_SHA256]
    }
}

fn der(certificate: &Certificate) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(&certificate.cert).expect("a certificate")
}

#[test]
fn a_certificate_is_chosen_by_the_name_asked_for() {
    let shop = Shop::new();
    let first = shop.issue("first", &["shop.example"]);
    let wild = shop.issue("wild", &["*.shop.example"]);
    let exact = shop.issue("exact", &["pay.shop.example", "Other.Example"]);
    let server = build(&settings(vec![first.clone(), wild.clone(), exact.clone()]));
    let client = shop.client();
    for (name, wanted) in [
        ("shop.example", &first),
        ("a.shop.example", &wild),
        ("pay.shop.example", &exact),
        ("other.example", &exact),
        ("OTHER.example", &exact),
        ("a.b.shop.example", &first),
        ("nobody.example", &first),
        ("192.0.2.1", &first),
    ] {
        assert_eq!(shown(&client, &server, name), der(wanted), "{name}");
    }
    assert!(shake(&Arc::new(client), &server, "pay.shop.example").is_ok(), "and a client accepts it");
}

#[test]
fn of_two_keys_for_one_name_the_client_gets_the_better_one_that_it_can_verify() {
    let shop = Shop::new();
    let names = ["shop.example"];
    let rsa = shop.issue_with("rsa", &names, &rcgen::PKCS_RSA_SHA256);
    let edwards = shop.issue_with("ed25519", &names, &rcgen::PKCS_ED25519);
    let ecdsa = shop.issue("ecdsa", &names);
    let server = build(&settings(vec![rsa.clone(), edwards, ecdsa.clone()]));
    for version in [&version::TLS12, &version::TLS13] {
        let mut client = shop.client_speaking(&[version]);
        for name in ["shop.example", "192.0.2.1"] {
            assert_eq!(shown(&client, &server, name), der(&ecdsa), "{name}");
        }
        client.dangerous().set_certificate_verifier(Arc::new(OnlyRsa(Credulous)));
        let (client, _) = shake(&Arc::new(client), &server, "shop.example").expect("a handshake");
        assert_eq!(client.peer_certificates().expect("a certificate")[0], der(&rsa));
    }
}

#[test]
fn nothing_older_than_the_least_version_is_spoken() {
    let shop = Shop::new();
    let mut settings = settings(vec![shop.issue("shop", &["shop.example"])]);
    let old = Arc::new(shop.client_speaking(&[&version::TLS12]));
    assert!(shake(&old, &build(&settings), "shop.example").is_ok());
    settings.min_version = TlsVersion::V1_3;
    assert!(shake(&old, &build(&settings), "shop.example").is_err());
}

#[test]
fn the_listener_s_first_protocol_that_the_client_knows_is_spoken() {
    let shop = Shop::new();
    let mut settings = settings(vec![shop.issue("shop", &["shop.example"])]);
    let agreed = |settings: &ListenerTls, offered: &[&str]| {
        let mut client = shop.client();
        client.alpn_protocols = offered.iter().map(|protocol| (*protocol).into()).collect();
        shake(&Arc::new(client), &build(settings), "shop.example")
            .map(|(client, _)| client.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&settings, &["http/1.1", "h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(agreed(&settings, &["http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&settings, &[]), Ok(None));
    assert!(agreed(&settings, &["smtp"]).is_err());
    settings.alpn = vec![Alpn::Http1];
    assert_eq!(agreed(&settings, &["h2", "http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
}

/// How a second handshake of the same client goes, after `second` has taken the place of `first`.
fn second_handshake(
    client: ClientConfig,
    first: &Termination,
    second: &Termination,
) -> Option<HandshakeKind> {
    let client = Arc::new(client);
    shake(&client, first, "shop.example").expect("a handshake");
    let (_, server) = shake(&client, second, "shop.example").ok()?;
    server.handshake_kind()
}

#[test]
fn a_ticket_is_good_on_every_worker_and_after_a_reload() {
    let shop = Shop::new();
    let settings = settings(vec![shop.issue("shop", &["shop.example"])]);
    let before = build(&settings);
    let after = Termination::build(&settings, Some(&before)).expect("a termination");
    let stranger = build(&settings);
    for version in [&version::TLS12, &version::TLS13] {
        let client = || shop.client_speaking(&[version]);
        assert_eq!(second_handshake(client(), &before, &before), Some(HandshakeKind::Resumed));
        assert_eq!(second_handshake(client(), &before, &after), Some(HandshakeKind::Resumed));
        assert_eq!(second_handshake(client(), &before, &stranger), Some(HandshakeKind::Full));
    }
}

#[test]
fn without_tickets_every_handshake_is_a_full_one() {
    let shop = Shop::new();
    let settings =
        ListenerTls { session_tickets: false, ..settings(vec![shop.issue("shop", &["shop.example"])]) };
    let server = build(&settings);
    for version in [&version::TLS12, &version::TLS13] {
        let client = shop.client_speaking(&[version]);
        assert_eq!(second_handshake(client, &server, &server), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_ticket_is_worth_nothing_once_clients_are_let_in_by_other_rules() {
    let (shop, other) = (Shop::new(), Shop::new());
    let open = settings(vec![shop.issue("shop", &["shop.example"])]);
    let asks = |mode, ca| ListenerTls { client_auth: Some(ClientAuth { ca, mode }), ..open.clone() };
    let optional = asks(ClientAuthMode::Optional, shop.authorities("ca.pem"));
    let required = asks(ClientAuthMode::Require, shop.authorities("ca.pem"));
    let elsewhere = asks(ClientAuthMode::Require, other.authorities("ca.pem"));
    for version in [&version::TLS12, &version::TLS13] {
        let after = |client: ClientConfig, first: &ListenerTls, second: &ListenerTls| {
            let first = build(first);
            let second = Termination::build(second, Some(&first)).expect("a termination");
            second_handshake(client, &first, &second)
        };
        let nobody = || shop.client_speaking(&[version]);
        let somebody = || shop.client_with_certificate(&[version]);
        assert_eq!(after(nobody(), &open, &required), None, "resumed without a certificate");
        assert_eq!(after(nobody(), &optional, &required), None, "resumed without a certificate");
        assert_eq!(after(somebody(), &required, &elsewhere), None, "resumed with one of another authority");
        assert_eq!(after(somebody(), &optional, &required), Some(HandshakeKind::Full));
        assert_eq!(after(somebody(), &required, &required), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_client_that_resumes_is_still_known_by_its_certificate() {
    let shop = Shop::new();
    let ca = shop.authorities("ca.pem");
    let open = settings(vec![shop.issue("shop", &["shop.example"])]);
    let server =
        build(&ListenerTls { client_auth: Some(ClientAuth { ca, mode: ClientAuthMode::Require }), ..open });
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(shop.client_with_certificate(&[version]));
        let (_, first) = shake(&client, &server, "shop.example").expect("a handshake");
        let (_, second) = shake(&client, &server, "shop.example").expect("a handshake");
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
        let leaf = |server: &ServerConnection| server.peer_certificates().map(|chain| chain[0].to_vec());
        assert!(leaf(&second).is_some());
        assert_eq!(leaf(&first), leaf(&second));
        let named = identity(&second, pki::now()).expect("a good certificate").expect("a certificate");
        assert!(named.element.to_str().expect("ASCII").contains("DNS=till-7.example"));
        assert!(identity(&second, named.not_after + 1).is_err(), "expired since");
    }
}

#[test]
fn files_that_were_replaced_are_shown_and_those_that_were_not_stay_as_they_are() {
    let shop = Shop::new();
    let (a, b) = (shop.issue("a", &["a.example"]), shop.issue("b", &["b.example"]));
    let before = build(&settings(vec![a.clone(), b]));
    let Refreshed { next, faults } = before.refresh();
    assert!(next.is_none() && faults.is_empty(), "nothing is new");

    shop.issue("a", &["a.example"]);
    let after = before.refresh().next.expect("something new");
    let client = shop.client();
    assert_ne!(shown(&client, &before, "a.example"), der(&a), "connections of before keep what they have");
    assert_eq!(shown(&client, &after, "a.example"), der(&a));
    assert!(Arc::ptr_eq(&before.credentials[1], &after.credentials[1]));
    assert!(Arc::ptr_eq(&before.handshakes, &after.handshakes));
}

#[test]
fn half_a_pair_is_not_shown_until_the_other_half_is_there() {
    let shop = Shop::new();
    let (a, b) = (shop.issue("a", &["a.example"]), shop.issue("b", &["b.example"]));
    let server = build(&settings(vec![a.clone(), b.clone()]));
    let (old, client) = (der(&a), shop.client());
    let next = shop.issue("next", &["a.example"]);
    shop.issue("b", &["b.example"]);

    fs::rename(&next.cert, &a.cert).expect("rename");
    let Refreshed { next: half, faults } = server.refresh();
    let half = half.expect("the other certificate is new");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].to_string().contains("a.key: the key does not belong"), "{}", faults[0]);
    assert_eq!(shown(&client, &half, "a.example"), old);
    assert_eq!(shown(&client, &half, "b.example"), der(&b));

    fs::rename(&next.key, &a.key).expect("rename");
    let Refreshed { next: whole, faults } = half.refresh();
    assert!(faults.is_empty());
    assert_eq!(shown(&client, &whole.expect("new"), "a.example"), der(&a));
}

#[test]
fn authorities_that_were_replaced_decide_over_clients() {
    let (shop, other) = (Shop::new(), Shop::new());
    let ca = shop.authorities("ca.pem");
    let open = settings(vec![shop.issue("shop", &["shop.example"])]);
    let auth = ClientAuth { ca: ca.clone(), mode: ClientAuthMode::Require };
    let before = build(&ListenerTls { client_auth: Some(auth), ..open });
    let client = Arc::new(shop.client_with_certificate(rustls::ALL_VERSIONS));
    assert!(shake(&client, &before, "shop.example").is_ok());
    write(&ca, "nothing");
    let Refreshed { next, faults } = before.refresh();
    assert!(next.is_none());
    assert_eq!(faults.len(), 1);
    write(&ca, &pem(&other.root));
    let after = before.refresh().next.expect("something new");
    assert!(shake(&client, &after, "shop.example").is_err());
}

#[test]
fn every_file_that_cannot_be_used_is_named_at_once() {
    let shop = Shop::new();
    let gone = |file: &str| Certificate { cert: shop.path(file), key: shop.path(file), ocsp: None };
    let auth = ClientAuth { ca: shop.path("c"), mode: ClientAuthMode::Require };
    let settings = ListenerTls { client_auth: Some(auth), ..settings(vec![gone("a"), gone("b")]) };
    let faults = Termination::build(&settings, None).expect_err("faults");
    let named: Vec<_> = faults.iter().map(|fault| fault.path.file_name().expect("a name")).collect();
    assert_eq!(named, ["a", "b", "c"]);
}
