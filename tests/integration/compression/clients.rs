//! A client that everybody has.

use std::process::Command;

use super::{ALL, before, page, text};
use crate::support::{Origin, Proxy};

/// What curl prints.
fn curl(proxy: &Proxy, arguments: &[&str]) -> String {
    let url = format!("http://{}/", proxy.web());
    let ran = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).arg(url).output();
    let ran = ran.expect("curl runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

#[test]
fn curl_reads_every_coding_over_both_protocols() {
    let origin = Origin::answering(text(""));
    for coding in ALL {
        let proxy = before(&origin, &format!("{{ algorithms: [{coding}] }}"));
        for protocol in ["--http1.1", "--http2-prior-knowledge"] {
            let said = curl(&proxy, &["--compressed", "-i", protocol]);
            let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.to_lowercase().contains(&format!("content-encoding: {coding}")), "{head}");
            assert_eq!(body, page(5000), "{coding} {protocol}");
            assert_eq!(curl(&proxy, &[protocol]), page(5000), "without --compressed");
        }
    }
}

#[test]
fn curl_sees_that_a_response_broke_off_over_both_protocols() {
    let origin = Origin::start(|visit| {
        visit.request();
        let whole = text("");
        visit.send(&whole[..whole.len() - 1]);
    });
    let proxy = before(&origin, "on");
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        let url = format!("http://{}/", proxy.web());
        let ran =
            Command::new("curl").args(["-sS", "--compressed", "--max-time", "20", protocol, &url]).output();
        let ran = ran.expect("curl runs");
        assert!(!ran.status.success() && ran.stdout != page(5000).as_bytes(), "{protocol}: {ran:?}");
    }
}
