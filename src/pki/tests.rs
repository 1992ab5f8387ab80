//! Files as people have them, and what is said of those that will not do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair, SanType, SignatureAlgorithm};

use super::*;
use crate::config::Certificate;

/// A moment at which what is made here is valid.
const NOW: i64 = 1_700_000_000;

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

fn ecdsa() -> KeyPair {
    key(&rcgen::PKCS_ECDSA_P256_SHA256)
}

fn certificate(names: &[&str], key: &KeyPair) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "shop");
    params.self_signed(key).expect("a certificate").pem()
}

fn files(directory: &Path, cert: &str, key: &str) -> Certificate {
    let [cert_path, key_path] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    fs::write(&cert_path, cert).expect("write");
    fs::write(&key_path, key).expect("write");
    fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).expect("mode");
    Certificate { cert: cert_path, key: key_path, ocsp: None }
}

fn read(cert: &str, key: &str) -> Result<Credential, Fault> {
    let directory = tempfile::tempdir().expect("a directory");
    Credential::read(&files(directory.path(), cert, key), NOW)
}

fn refused(cert: &str, key: &str) -> Fault {
    read(cert, key).expect_err("a fault")
}

#[test]
fn keys_of_every_kind_are_read() {
    let kinds = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::Ecdsa),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::Ecdsa),
        (&rcgen::PKCS_ED25519, KeyKind::Ed25519),
        (&rcgen::PKCS_RSA_SHA256, KeyKind::Rsa),
    ];
    for (algorithm, kind) in kinds {
        let key = key(algorithm);
        let read = read(&certificate(&["shop.example"], &key), &key.serialize_pem()).expect("a credential");
        assert_eq!(read.kind, kind);
        assert!(read.oddities.is_empty(), "{:?}", read.oddities);
    }
}

#[test]
fn names_are_those_of_the_subject_alternative_names() {
    let key = ecdsa();
    let cert = certificate(&["Shop.Example", "*.shop.example", "192.0.2.1"], &key);
    let leaf = read(&cert, &key.serialize_pem()).expect("a credential").leaf;
    assert_eq!(leaf.names, [Name::Exact("shop.example".into()), Name::Wildcard("shop.example".into())]);
    assert_eq!((leaf.subject.as_str(), leaf.title().as_str()), ("CN=shop", "shop.example"));
}

#[test]
fn a_certificate_and_its_key_may_share_a_file() {
    let key = ecdsa();
    let both = format!("{}{}", key.serialize_pem(), certificate(&["a.example"], &key));
    assert!(read(&both, &both).is_ok());
}

#[test]
fn a_key_that_belongs_to_no_certificate_of_the_chain_is_refused() {
    let fault = refused(&certificate(&["a.example"], &ecdsa()), &ecdsa().serialize_pem());
    assert_eq!((fault.part, fault.hint.as_deref()), (Part::Key, None));
    assert!(fault.message.starts_with("the key does not belong to the certificate in "), "{fault}");
}

#[test]
fn a_chain_in_the_wrong_order_is_told_which_certificate_has_to_be_first() {
    let key = ecdsa();
    let chain = certificate(&["ca.example"], &ecdsa()) + &certificate(&["a.example"], &key);
    let hint = refused(&chain, &key.serialize_pem()).hint;
    assert_eq!(
        hint.as_deref(),
        Some("it belongs to the certificate that stands there as number 2: that one has to be the first")
    );
}

#[test]
fn what_is_no_certificate_or_no_key_is_refused_by_what_it_is() {
    let key = ecdsa();
    let (good, good_key) = (certificate(&["a.example"], &key), key.serialize_pem());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let empty_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        ("", good_key.as_str(), Part::Certificate, "there is no certificate in it"),
        (&good_key, &good_key, Part::Certificate, "there is no certificate in it"),
        (empty, &good_key, Part::Certificate, "its first certificate is not a valid X.509 certificate"),
        (&good, "", Part::Key, "there is no private key in it"),
        (&good, &good, Part::Key, "there is no private key in it"),
        (&good, encrypted, Part::Key, "the key is encrypted with a passphrase"),
        (&good, empty_key, Part::Key, "the key is damaged, or of a kind that is not supported"),
    ];
    for (cert, key, part, message) in cases {
        let fault = refused(cert, key);
        assert_eq!((fault.part, fault.message.as_str()), (part, message));
    }
    let damaged = good.replace("-----END CERTIFICATE-----", "");
    assert!(refused(&damaged, &good_key).message.starts_with("the file is damaged"));
    let long = good.repeat(17);
    assert_eq!(refused(&long, &good_key).message, "there are more than 16 certificates in it");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_cause() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = ecdsa();
    let good = files(directory.path(), &certificate(&["a.example"], &key), &key.serialize_pem());
    let gone = Certificate { key: directory.path().join("gone"), ..good.clone() };
    let fault = Credential::read(&gone, NOW).expect_err("a fault");
    assert_eq!(fault.to_string(), format!("{}: there is no such file", gone.key.display()));
    let directory = Certificate { cert: PathBuf::from("/"), ..good };
    assert_eq!(Credential::read(&directory, NOW).expect_err("a fault").message, "this is not a file");
}

#[test]
fn what_is_odd_about_a_certificate_is_said_and_does_not_stop_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = ecdsa();
    let files = files(directory.path(), &certificate(&[], &key), &key.serialize_pem());
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).expect("mode");
    let messages = |now| -> Vec<String> {
        let read = Credential::read(&files, now).expect("a credential");
        read.oddities.into_iter().map(|fault| fault.message).collect()
    };
    let nameless = "the certificate names no host in its subject alternative names";
    let open = "every user of this machine may read the key";
    assert_eq!(messages(NOW), [nameless, open]);
    assert_eq!(messages(0), ["the certificate is not valid yet", nameless, open]);
    assert_eq!(messages(i64::MAX), ["the certificate has expired", nameless, open]);
}

#[test]
fn a_staple_must_be_a_response() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = ecdsa();
    let files = files(directory.path(), &certificate(&["a.example"], &key), &key.serialize_pem());
    let files = Certificate { ocsp: Some(files.cert.clone()), ..files };
    let fault = Credential::read(&files, NOW).expect_err("a fault");
    assert_eq!(
        (fault.part, fault.message.as_str()),
        (Part::Staple, "this is not a successful OCSP response in DER")
    );
}

#[test]
fn authorities_are_one_or_more_certificates() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ca.pem");
    let read = |text: &str| {
        fs::write(&path, text).expect("write");
        Authorities::read(&path)
    };
    let (one, two) = (certificate(&["a.example"], &ecdsa()), certificate(&["b.example"], &ecdsa()));
    let both = read(&format!("{one}{two}")).expect("authorities");
    assert_eq!(both.roots.len(), 2);
    assert!(!both.is(&read(&one).expect("authorities")));
    assert_eq!(read("").expect_err("a fault").message, "there is no certificate in it");
    let damaged = one + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(read(&damaged).expect_err("a fault").message.starts_with("certificate 2 is not one"));
}

#[test]
fn a_client_is_told_to_endpoints_by_hash_subject_and_names() {
    let mut params = CertificateParams::new(vec!["till-7.example".to_owned()]).expect("names");
    let uri = "spiffe://shop.example/till/7;a=b".try_into().expect("a URI");
    params.subject_alt_names.push(SanType::URI(uri));
    params.distinguished_name.push(DnType::CommonName, "till \"7\"");
    params.distinguished_name.push(DnType::OrganizationName, "Shop, Inc.");
    let certificate = params.self_signed(&ecdsa()).expect("a certificate");
    let client = ClientCertificate::of(certificate.der()).expect("a client");
    let element = client.element.to_str().expect("ASCII");
    let (hash, rest) = element.split_once(';').expect("parts");
    assert_eq!(hash.len(), "Hash=".len() + 64);
    assert_eq!(
        rest,
        r#"Subject="O=Shop\\, Inc.,CN=till \\\"7\\\"";DNS=till-7.example;URI="spiffe://shop.example/till/7;a=b""#
    );
    assert_eq!(ClientCertificate::of(b"none"), None);
}

#[test]
fn a_client_whose_names_do_not_fit_is_told_by_hash_alone() {
    let names: Vec<String> = (0..500).map(|number| format!("till-{number}.example")).collect();
    let certificate =
        CertificateParams::new(names).expect("names").self_signed(&ecdsa()).expect("a certificate");
    let client = ClientCertificate::of(certificate.der()).expect("a client");
    assert_eq!(client.element.len(), "Hash=".len() + 64);
}
