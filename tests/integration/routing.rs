//! Which upstream a request reaches, end to end. Every rule of precedence is in the unit tests of `policy::route`.

use crate::support::{Client, Origin, Proxy, ok_with};

/// Two upstreams that answer with their names, and these routes in this order.
struct Shop {
    _origins: [Origin; 2],
    proxy: Proxy,
}

impl Shop {
    fn with(routes: &str) -> Self {
        let origins = ["a", "b"].map(|name| Origin::answering(ok_with(name)));
        let yaml = format!(
            "workers: 1\nlisteners: {{ web: {{ address: \"127.0.0.1:0\" }} }}\nupstreams:\n  a: {{ endpoints: [\"{}\"] }}\n  \
             b: {{ endpoints: [\"{}\"] }}\nadmin: off\nroutes:\n{routes}",
            origins[0].address(),
            origins[1].address(),
        );
        Self { proxy: Proxy::start(&yaml), _origins: origins }
    }

    /// Sends each request, `METHOD TARGET HOST` with further header lines behind it, and asserts which upstream
    /// answers; `-` is none.
    fn routes(&self, cases: &[(&str, &str)]) {
        let mut client = self.proxy.client();
        for (request, upstream) in cases {
            assert_eq!(reached(&mut client, request), *upstream, "{request}");
        }
    }
}

fn reached(client: &mut Client, request: &str) -> String {
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let mut words = line.split(' ');
    let mut word = || words.next().expect("METHOD TARGET HOST");
    let (method, target, host) = (word(), word(), word());
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    client.send(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n"));
    let response = client.response();
    if response.reason() == "no_route" { "-".into() } else { response.text() }
}

#[test]
fn an_exact_host_goes_before_a_wildcard_and_a_wildcard_before_none() {
    let shop = Shop::with(
        "  - { match: { host: \"*.shop.example\" }, upstream: a }\n  - { match: { host: pay.shop.example }, upstream: b }\n",
    );
    shop.routes(&[
        ("GET / pay.shop.example", "b"),
        ("GET / PAY.Shop.Example:8080", "b"),
        ("GET / pay.shop.example.", "b"),
        ("GET / www.shop.example", "a"),
        ("GET / a.b.shop.example", "a"),
        ("GET / shop.example", "-"),
        ("GET / evilshop.example", "-"),
        ("GET http://pay.shop.example/ pay.shop.example", "b"),
    ]);
}

#[test]
fn an_exact_path_goes_before_the_longest_prefix_and_a_prefix_before_a_regex() {
    let shop = Shop::with(
        "  - { match: { path_regex: \"^/api/.*\" }, upstream: b }\n  - { match: { path_prefix: /api/orders }, upstream: a }\n  \
         - { match: { path: /api/orders/latest }, upstream: b }\n",
    );
    shop.routes(&[
        ("GET /api/orders/latest h", "b"),
        ("GET /api/orders/7 h", "a"),
        ("GET /api/orders h", "a"),
        ("GET /api/ordersx h", "b"),
        ("GET /api/items h", "b"),
        ("GET /api/items/../orders/7 h", "a"),
        ("GET /api/%6Frders/7?x=/ h", "a"),
        ("GET /other h", "-"),
    ]);
}

#[test]
fn a_method_tells_routes_of_one_path_apart() {
    let shop = Shop::with(
        "  - { match: { path_prefix: / }, upstream: a }\n  - { match: { path_prefix: /, methods: [POST, PUT] }, upstream: b }\n",
    );
    shop.routes(&[
        ("GET / h", "a"),
        ("POST / h\ncontent-length: 0", "b"),
        ("PUT / h\ncontent-length: 0", "b"),
        ("post / h", "a"),
    ]);
}

#[test]
fn more_headers_go_before_fewer() {
    let shop = Shop::with(
        "  - { match: { headers: { X-Channel: web } }, upstream: a }\n  \
         - { match: { headers: { X-Channel: web, X-Beta: \"1\" } }, upstream: b }\n",
    );
    shop.routes(&[
        ("GET / h\nx-channel: web", "a"),
        ("GET / h\nX-CHANNEL: web\nx-beta: 1", "b"),
        ("GET / h\nx-channel: WEB", "-"),
        ("GET / h\nx-beta: 1", "-"),
    ]);
}

#[test]
fn a_query_parameter_is_compared_decoded() {
    let shop = Shop::with(
        "  - { match: { query: { v: \"a b\" } }, upstream: a }\n  - { match: { path_prefix: / }, upstream: b }\n",
    );
    shop.routes(&[
        ("GET /?v=a%20b h", "a"),
        ("GET /?x=1&v=a+b h", "a"),
        ("GET /?v=a h", "b"),
        ("GET /?w=a+b h", "b"),
        ("GET / h", "b"),
    ]);
}
