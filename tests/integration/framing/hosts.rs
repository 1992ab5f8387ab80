//! A request is for exactly one host, whatever it says and wherever it says it.

use super::Gate;

#[test]
fn a_request_without_exactly_one_good_host_is_refused() {
    let gate = Gate::open();
    let head = |hosts: &str| format!("GET / HTTP/1.1\r\n{hosts}");
    gate.refuses(400, "missing_host", &[("none", head(""))]);
    gate.refuses(
        400,
        "repeated_host",
        &[
            ("two", head("host: shop.example\r\nhost: other.example\r\n")),
            ("two equal", head("host: shop.example\r\nhost: shop.example\r\n")),
        ],
    );
    let malformed = [
        "",
        "shop example",
        "shop.example:http",
        "shop.example:99999",
        "shop.example:+80",
        "user@shop.example",
        "shop.example/path",
        "shop.example?a",
        "shop..example",
        "[::1",
        "a, b",
        "shop.example:80:80",
        "h\u{f6}st",
    ];
    let heads = malformed.map(|host| (host, head(&format!("host: {host}\r\n"))));
    gate.refuses(400, "malformed_host", &heads);
}

#[test]
fn a_host_that_disagrees_with_an_absolute_target_is_refused() {
    let gate = Gate::open();
    let head = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n");
    gate.refuses(
        400,
        "host_disagrees",
        &[
            ("another host", head("http://shop.example/", "other.example")),
            ("another port", head("http://shop.example:8080/", "shop.example")),
        ],
    );
    gate.refuses(400, "malformed_host", &[("userinfo", head("http://shop.example@evil/", "shop.example"))]);
    gate.refuses(400, "unsupported_scheme", &[("ftp", head("ftp://shop.example/", "shop.example"))]);
}
