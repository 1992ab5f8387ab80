use http::Request;

use super::*;

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri(target);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("a request").into_parts().0
}

fn get(target: &str, headers: &[(&str, &str)]) -> Parts {
    parts("GET", target, headers)
}

fn of_version(version: Version, mut parts: Parts) -> Parts {
    parts.version = version;
    parts
}

fn refusal(parts: &Parts) -> Option<HeadError> {
    check_request(parts).err()
}

/// A GET for `/` with this Host and these headers more.
fn refusal_with(headers: &[(&str, &str)]) -> Option<HeadError> {
    refusal(&get("/", &[&[("host", "shop.example")], headers].concat()))
}

fn host_of(host: &str) -> Result<String, HeadError> {
    check_request(&get("/", &[("host", host)])).map(|checked| checked.host.into_owned())
}

#[test]
fn a_common_request_passes_without_an_allocation() {
    let parts = get("/api/orders?page=2", &[("host", "shop.example:8080")]);
    let checked = check_request(&parts).expect("a good head");
    assert!(matches!(checked.host, Cow::Borrowed("shop.example")));
    assert_eq!((checked.path, checked.query), ("/api/orders", Some("page=2")));
    assert_eq!(checked.authority, "shop.example:8080");
    assert_eq!((checked.target, checked.body), (Target::Origin, Framing::None));
    assert!(!checked.expects_continue);
}

#[test]
fn the_host_is_lower_case_without_port_and_trailing_dot() {
    assert_eq!(host_of("Shop.EXAMPLE.:443").as_deref(), Ok("shop.example"));
    assert_eq!(host_of("[2001:DB8::1]:80").as_deref(), Ok("[2001:db8::1]"));
    assert_eq!(host_of("[::1]").as_deref(), Ok("[::1]"));
    assert_eq!(host_of("10.0.0.1:7001").as_deref(), Ok("10.0.0.1"));
    assert_eq!(host_of("pay_ments-1").as_deref(), Ok("pay_ments-1"));
}

#[test]
fn http_1_1_without_host_is_400() {
    assert_eq!(refusal(&get("/", &[])), Some(HeadError::MissingHost));
    assert_eq!(refusal(&get("http://shop.example/", &[])), Some(HeadError::MissingHost));
    assert_eq!(HeadError::MissingHost.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn http_1_0_may_lack_a_host() {
    let parts = of_version(Version::HTTP_10, get("/", &[]));
    let checked = check_request(&parts).expect("a good head");
    assert_eq!((&*checked.host, checked.authority), ("", ""));
    assert_eq!(authority_value(&parts), None);
}

#[test]
fn a_repeated_host_is_400_even_if_equal() {
    assert_eq!(refusal_with(&[("host", "shop.example")]), Some(HeadError::RepeatedHost));
}

#[test]
fn a_malformed_host_is_400() {
    for host in [
        "",
        ".",
        ":80",
        "a..b",
        ".a",
        "a b",
        "user@shop.example",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a%41",
        "a,b",
        "a\tb",
        "shop.example:",
        "shop.example:http",
        "shop.example:+80",
        "shop.example:65536",
        "shop.example:080000",
        "shop.example:80:80",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "[]",
        "::1",
        "a*b",
    ] {
        assert_eq!(host_of(host), Err(HeadError::MalformedHost), "{host:?}");
    }
    let latin1 = HeaderValue::from_bytes(b"sh\xf6p.example").expect("legal in http");
    let mut parts = get("/", &[]);
    parts.headers.insert(header::HOST, latin1);
    assert_eq!(refusal(&parts), Some(HeadError::MalformedHost));
}

#[test]
fn a_host_longer_than_a_name_can_be_is_400() {
    let longest = "a.".repeat(126) + "a";
    assert_eq!(host_of(&format!("{longest}.")), Ok(longest.clone()));
    assert_eq!(host_of(&format!("{longest}a")), Err(HeadError::MalformedHost));
}

#[test]
fn an_absolute_target_that_disagrees_with_host_is_400() {
    for (target, host) in [
        ("http://shop.example/", "other.example"),
        ("http://shop.example:8080/", "shop.example"),
        ("http://shop.example/", "shop.example:8080"),
        ("https://shop.example/", "shop.example:80"),
    ] {
        assert_eq!(
            refusal(&get(target, &[("host", host)])),
            Some(HeadError::HostDisagrees),
            "{target} {host}"
        );
    }
}

#[test]
fn an_absolute_target_agrees_in_any_case_and_with_the_default_port_left_out() {
    for (target, host) in [
        ("http://Shop.Example:80/a", "shop.example"),
        ("http://shop.example/a", "SHOP.example.:80"),
        ("https://shop.example/a", "shop.example:443"),
    ] {
        let parts = get(target, &[("host", host)]);
        let checked = check_request(&parts).expect("they agree");
        assert_eq!((checked.target, &*checked.host, checked.path), (Target::Absolute, "shop.example", "/a"));
        assert_eq!(checked.authority, host);
    }
}

#[test]
fn userinfo_in_the_target_is_400() {
    let parts = get("http://user@shop.example/", &[("host", "shop.example")]);
    assert_eq!(refusal(&parts), Some(HeadError::MalformedHost));
}

#[test]
fn http_2_takes_the_host_from_its_authority() {
    let parts = of_version(Version::HTTP_2, get("https://Shop.example:8443/", &[]));
    let checked = check_request(&parts).expect("a good head");
    assert_eq!((&*checked.host, checked.authority), ("shop.example", "Shop.example:8443"));
    assert_eq!(authority_value(&parts), Some(HeaderValue::from_static("Shop.example:8443")));
    let parts = of_version(Version::HTTP_2, get("/", &[]));
    assert_eq!(refusal(&parts), Some(HeadError::MissingHost));
}

#[test]
fn an_absolute_target_of_another_scheme_is_400() {
    let parts = get("ftp://shop.example/", &[("host", "shop.example")]);
    assert_eq!(refusal(&parts), Some(HeadError::UnsupportedScheme));
}

#[test]
fn connect_is_refused_with_405() {
    let parts = parts("CONNECT", "shop.example:443", &[("host", "shop.example:443")]);
    assert_eq!(refusal(&parts), Some(HeadError::ConnectRefused));
    assert_eq!(HeadError::ConnectRefused.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn the_asterisk_is_for_options_only() {
    let options = parts("OPTIONS", "*", &[("host", "shop.example")]);
    let checked = check_request(&options).expect("a good head");
    assert_eq!((checked.target, checked.path), (Target::Asterisk, "*"));
    assert_eq!(refusal(&get("*", &[("host", "shop.example")])), Some(HeadError::MalformedTarget));
}

#[test]
fn the_authority_form_is_for_connect_only() {
    let parts = get("shop.example:80", &[("host", "shop.example:80")]);
    assert_eq!(refusal(&parts), Some(HeadError::MalformedTarget));
}

#[test]
fn transfer_encoding_is_one_chunked_or_400() {
    let chunked = get("/", &[("host", "a"), ("transfer-encoding", "Chunked")]);
    assert_eq!(check_request(&chunked).map(|checked| checked.body), Ok(Framing::Chunked));
    for coding in
        ["gzip", "gzip, chunked", "chunked, chunked", "chunked,", "identity", "", "chunked;q=1", "xchunked"]
    {
        let refused = Some(HeadError::UnsupportedTransferEncoding);
        assert_eq!(refusal_with(&[("transfer-encoding", coding)]), refused, "{coding:?}");
    }
    let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
    assert_eq!(refusal_with(&twice), Some(HeadError::UnsupportedTransferEncoding));
}

#[test]
fn transfer_encoding_belongs_to_http_1_1() {
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let parts = of_version(version, get("http://a/", &[("host", "a"), ("transfer-encoding", "chunked")]));
        assert_eq!(refusal(&parts), Some(HeadError::MisplacedTransferEncoding));
    }
}

#[test]
fn content_length_is_one_number_or_400() {
    let sized = get("/", &[("host", "a"), ("content-length", "18446744073709551615")]);
    assert_eq!(check_request(&sized).map(|checked| checked.body), Ok(Framing::Length(u64::MAX)));
    for length in ["", "+5", "-5", "5, 5", "5 5", "0x5", "18446744073709551616", "5.0", "five"] {
        assert_eq!(
            refusal_with(&[("content-length", length)]),
            Some(HeadError::MalformedLength),
            "{length:?}"
        );
    }
    let twice = [("content-length", "5"), ("content-length", "5")];
    assert_eq!(refusal_with(&twice), Some(HeadError::RepeatedLength));
}

#[test]
fn transfer_encoding_with_content_length_is_400() {
    let both = [("content-length", "5"), ("transfer-encoding", "chunked")];
    assert_eq!(refusal_with(&both), Some(HeadError::ConflictingLength));
}

#[test]
fn an_expectation_other_than_100_continue_is_417() {
    for value in ["200-ok", "100-continue, x", "", "100-continue-x"] {
        assert_eq!(refusal_with(&[("expect", value)]), Some(HeadError::UnknownExpectation), "{value:?}");
    }
    assert_eq!(HeadError::UnknownExpectation.status(), StatusCode::EXPECTATION_FAILED);
}

#[test]
fn http_1_0_expects_nothing() {
    let parts = get("/", &[("host", "a"), ("expect", "100-Continue")]);
    assert_eq!(check_request(&parts).map(|checked| checked.expects_continue), Ok(true));
    let parts = of_version(Version::HTTP_10, parts);
    assert_eq!(check_request(&parts).map(|checked| checked.expects_continue), Ok(false));
}

#[test]
fn another_version_is_505() {
    for version in [Version::HTTP_09, Version::HTTP_3] {
        let refused = refusal(&of_version(version, get("/", &[("host", "a")])));
        assert_eq!(refused, Some(HeadError::UnsupportedVersion));
    }
    assert_eq!(HeadError::UnsupportedVersion.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
}

#[test]
fn carriage_return_line_feed_and_nul_cannot_stand_in_a_header_value() {
    for bytes in [&b"a\rb"[..], b"a\nb", b"a\0b", b"a\x7fb"] {
        assert!(HeaderValue::from_bytes(bytes).is_err());
    }
}
