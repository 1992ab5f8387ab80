use http::header::{HeaderName, HeaderValue};
use regex::Regex;

use super::conditions::{Criterion, comes_before, conditions};
use super::*;
use crate::config::{HostPattern, PathPattern};

fn exact(path: &str) -> RouteMatch {
    RouteMatch { path: PathPattern::Exact(path.to_owned()), ..RouteMatch::default() }
}

fn prefix(path: &str) -> RouteMatch {
    RouteMatch { path: PathPattern::Prefix(path.to_owned()), ..RouteMatch::default() }
}

fn regex(pattern: &str) -> RouteMatch {
    let regex = Regex::new(pattern).expect("a good pattern");
    RouteMatch { path: PathPattern::Regex(regex), ..RouteMatch::default() }
}

fn any() -> RouteMatch {
    RouteMatch::default()
}

trait Also: Sized {
    fn host(self, host: &str) -> Self;
    fn method(self, method: Method) -> Self;
    fn header(self, name: &'static str, value: &'static str) -> Self;
    fn query(self, name: &str, value: &str) -> Self;
}

impl Also for RouteMatch {
    fn host(mut self, host: &str) -> Self {
        self.host = Some(match host.strip_prefix("*.") {
            Some(domain) => HostPattern::Wildcard(domain.to_owned()),
            None => HostPattern::Exact(host.to_owned()),
        });
        self
    }

    fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A request head that owns its parts.
struct Request {
    scheme: Scheme,
    host: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    method: Method,
    headers: HeaderMap,
}

fn get(host: &'static str, path: &'static str) -> Request {
    Request { scheme: Scheme::Http, host, path, query: None, method: Method::GET, headers: HeaderMap::new() }
}

impl Request {
    fn head(&self) -> Head<'_> {
        let Self { scheme, host, path, query, method, headers } = self;
        Head { scheme: *scheme, host, path, query: *query, method, headers }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }
}

fn find(routes: &[RouteMatch], request: &Request) -> Option<usize> {
    RouteTable::new(routes.iter()).find(&request.head())
}

/// Both orders in the file, so that the answer cannot come from the order.
fn assert_first_wins(winner: RouteMatch, loser: RouteMatch, request: &Request) {
    assert_eq!(find(&[winner.clone(), loser.clone()], request), Some(0));
    assert_eq!(find(&[loser, winner], request), Some(1));
}

#[test]
fn an_empty_table_takes_nothing() {
    assert_eq!(find(&[], &get("shop.example", "/")), None);
}

#[test]
fn an_exact_host_goes_before_a_wildcard_and_a_wildcard_before_none() {
    let request = get("a.shop.example", "/");
    assert_first_wins(any().host("a.shop.example"), any().host("*.shop.example"), &request);
    assert_first_wins(any().host("*.shop.example"), any(), &request);
    assert_first_wins(any().host("a.shop.example"), exact("/"), &request);
}

#[test]
fn the_longest_wildcard_goes_first() {
    let request = get("x.eu.shop.example", "/");
    assert_first_wins(any().host("*.eu.shop.example"), exact("/").host("*.shop.example"), &request);
}

#[test]
fn a_wildcard_takes_one_or_more_labels_and_not_the_bare_domain() {
    let routes = [any().host("*.shop.example")];
    assert_eq!(find(&routes, &get("a.shop.example", "/")), Some(0));
    assert_eq!(find(&routes, &get("a.b.shop.example", "/")), Some(0));
    for host in ["shop.example", ".shop.example", "ashop.example", "a.shop.example.org", ""] {
        assert_eq!(find(&routes, &get(host, "/")), None, "{host}");
    }
}

#[test]
fn a_less_specific_host_is_tried_when_no_route_of_a_more_specific_one_takes_the_request() {
    let routes = [exact("/a").host("shop.example"), exact("/b").host("*.example"), exact("/c")];
    assert_eq!(find(&routes, &get("shop.example", "/b")), Some(1));
    assert_eq!(find(&routes, &get("shop.example", "/c")), Some(2));
    assert_eq!(find(&routes, &get("shop.example", "/d")), None);
}

#[test]
fn an_exact_path_goes_before_a_prefix_a_prefix_before_a_regex_a_regex_before_any() {
    let request = get("", "/api");
    assert_first_wins(exact("/api"), prefix("/api"), &request);
    assert_first_wins(prefix("/api"), regex("^/api$"), &request);
    assert_first_wins(regex("^/api$"), any(), &request);
    assert_first_wins(regex("^/api$"), prefix("/"), &request);
}

#[test]
fn the_longest_prefix_goes_first() {
    assert_first_wins(prefix("/api/v1"), prefix("/api"), &get("", "/api/v1/orders"));
}

#[test]
fn a_shorter_prefix_is_tried_when_the_longer_one_refuses_the_method() {
    let routes = [prefix("/api/v1").method(Method::POST), prefix("/api")];
    assert_eq!(find(&routes, &get("", "/api/v1/orders")), Some(1));
}

#[test]
fn a_prefix_ends_on_a_segment_border() {
    let routes = [prefix("/api")];
    for path in ["/api", "/api/", "/api/x"] {
        assert_eq!(find(&routes, &get("", path)), Some(0), "{path}");
    }
    for path in ["/apix", "/ap", "/", "/x/api", "/API"] {
        assert_eq!(find(&routes, &get("", path)), None, "{path}");
    }
}

#[test]
fn the_prefix_slash_takes_every_path_like_a_route_without_a_path() {
    assert_eq!(find(&[prefix("/"), any()], &get("", "/x")), Some(0));
    assert_eq!(find(&[any(), prefix("/")], &get("", "/x")), Some(0));
}

#[test]
fn regexes_go_in_file_order() {
    let routes = [regex("^/a"), regex("^/ab")];
    assert_eq!(find(&routes, &get("", "/abc")), Some(0));
    let routes = [regex("^/a"), regex("^/ab").method(Method::GET)];
    assert_eq!(find(&routes, &get("", "/abc")), Some(1));
}

#[test]
fn method_then_headers_then_query_break_a_tie() {
    let mut request = get("", "/x").with("a", "1").with("b", "2");
    request.query = Some("p=1&q=2");
    let two_headers = || exact("/x").header("a", "1").header("b", "2");
    assert_first_wins(exact("/x").method(Method::GET), two_headers(), &request);
    assert_first_wins(two_headers(), exact("/x").header("a", "1").query("p", "1").query("q", "2"), &request);
    assert_first_wins(exact("/x").query("p", "1").query("q", "2"), exact("/x").query("p", "1"), &request);
}

#[test]
fn ties_go_to_the_route_that_stands_first() {
    assert_eq!(find(&[exact("/x"), exact("/x")], &get("", "/x")), Some(0));
}

#[test]
fn a_header_matches_byte_for_byte_in_any_of_its_lines() {
    let routes = [any().header("x-channel", "web")];
    assert_eq!(find(&routes, &get("", "/").with("x-channel", "app").with("x-channel", "web")), Some(0));
    assert_eq!(find(&routes, &get("", "/").with("x-channel", "Web")), None);
    assert_eq!(find(&routes, &get("", "/").with("x-channel", "web, app")), None);
    assert_eq!(find(&routes, &get("", "/")), None);
}

#[test]
fn a_query_parameter_matches_decoded_and_the_first_of_its_name_counts() {
    let routes = [any().query("q", "a b")];
    for (query, expected) in
        [("q=a+b", Some(0)), ("x=1&%71=a%20b", Some(0)), ("q=c&q=a+b", None), ("q=a%2Bb", None)]
    {
        let request = Request { query: Some(query), ..get("", "/") };
        assert_eq!(find(&routes, &request), expected, "{query}");
    }
    assert_eq!(find(&routes, &get("", "/")), None);
}

#[test]
fn a_config_path_is_matched_in_the_spelling_of_requests() {
    let routes = [exact("/caf%c3%a9"), prefix("//a/./b/")];
    assert_eq!(find(&routes, &get("", "/café")), Some(0));
    assert_eq!(find(&routes, &get("", "/a/b/c")), Some(1));
}

#[test]
fn a_host_of_nothing_but_dots_does_not_cost_a_lookup_for_each() {
    let host = ".".repeat(60_000);
    let routes = [any().host("*.shop.example"), any()];
    let request = get("", "/");
    let head = Head { host: &host, ..request.head() };
    assert_eq!(RouteTable::new(routes.iter()).find(&head), Some(1));
}

fn pick<T: Clone>(rng: &mut fastrand::Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())].clone()
}

const SCHEMES: [Scheme; 2] = [Scheme::Http, Scheme::Https];
const HOSTS: [&str; 7] =
    ["", "shop.example", "a.shop.example", "b.a.shop.example", "example", "x.org", "a.x.org"];
const HOST_PATTERNS: [&str; 6] =
    ["shop.example", "a.shop.example", "*.shop.example", "*.example", "*.a.shop.example", "x.org"];
const PATHS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a/bc", "/b", "/b/a/b"];
const PREFIXES: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/b", "/b/a"];
const PATTERNS: [&str; 4] = ["^/a", "b$", "^/a/b/?", "c"];
const QUERIES: [&str; 5] = ["", "p=1", "p=2&p=1", "%70=1&q=2", "q=2&flag"];

fn random_route(rng: &mut fastrand::Rng, regexes: &[RouteMatch]) -> RouteMatch {
    let mut route = match rng.u8(..5) {
        0 => any(),
        1 => exact(pick(rng, &PATHS)),
        2 | 3 => prefix(pick(rng, &PREFIXES)),
        _ => pick(rng, regexes),
    };
    if rng.u8(..5) == 0 {
        route.scheme = Some(pick(rng, &SCHEMES));
    }
    if rng.u8(..5) == 0 {
        route.except = Some(pick(rng, &SCHEMES));
    }
    if rng.bool() {
        route = route.host(pick(rng, &HOST_PATTERNS));
    }
    if rng.u8(..4) == 0 {
        route = route.method(pick(rng, &[Method::GET, Method::POST]));
    }
    for (name, value) in [("a", "1"), ("b", "2")] {
        route = if rng.u8(..5) == 0 { route.header(name, value) } else { route };
    }
    for (name, value) in [("p", "1"), ("q", "2")] {
        route = if rng.u8(..5) == 0 { route.query(name, value) } else { route };
    }
    route
}

fn random_request(rng: &mut fastrand::Rng) -> Request {
    let mut request = get(pick(rng, &HOSTS), pick(rng, &PATHS));
    request.scheme = pick(rng, &SCHEMES);
    request.method = pick(rng, &[Method::GET, Method::POST, Method::PUT]);
    request.query = rng.bool().then(|| pick(rng, &QUERIES));
    for (name, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        request = if rng.bool() { request.with(name, value) } else { request };
    }
    request
}

#[test]
fn the_table_agrees_with_the_plain_reading_of_the_precedence() {
    let mut rng = fastrand::Rng::with_seed(0x70a7);
    let regexes: Vec<RouteMatch> = PATTERNS.iter().map(|pattern| regex(pattern)).collect();
    for _ in 0..600 {
        let routes: Vec<RouteMatch> =
            (0..rng.usize(..40)).map(|_| random_route(&mut rng, &regexes)).collect();
        let table = RouteTable::new(routes.iter());
        for _ in 0..60 {
            let request = random_request(&mut rng);
            let (found, expected) = (table.find(&request.head()), reference::find(&routes, &request.head()));
            assert_eq!(found, expected, "{:?} among {routes:#?}", request.head());
        }
    }
}

/// The route that `conditions` and `comes_before` say takes the request.
fn explained(routes: &[RouteMatch], head: &Head<'_>) -> Option<usize> {
    let takes = |route: &RouteMatch| conditions(route, head).iter().all(|condition| condition.met);
    let mut takers = routes.iter().enumerate().filter(|(_, route)| takes(route)).peekable();
    let first = takers.next()?;
    let best =
        takers.fold(first, |best, other| if comes_before(best, other).is_some() { best } else { other });
    Some(best.0)
}

#[test]
fn what_is_said_of_routes_is_what_the_table_does() {
    let mut rng = fastrand::Rng::with_seed(11);
    let regexes = [regex("^/a"), regex("b$"), regex("/.*/")];
    let mut taken = 0;
    for _ in 0..100 {
        let routes: Vec<RouteMatch> =
            (0..rng.usize(..12)).map(|_| random_route(&mut rng, &regexes)).collect();
        let table = RouteTable::new(routes.iter());
        for _ in 0..20 {
            let request = random_request(&mut rng);
            let (found, said) = (table.find(&request.head()), explained(&routes, &request.head()));
            assert_eq!(found, said, "{:?} among {routes:#?}", request.head());
            taken += usize::from(found.is_some());
        }
    }
    assert!((200..1900).contains(&taken), "{taken} of 2000 requests were taken");
}

#[test]
fn of_two_routes_the_first_thing_that_differs_decides() {
    let by = |a: &RouteMatch, b: &RouteMatch| (comes_before((0, a), (1, b)), comes_before((1, b), (0, a)));
    let https = RouteMatch { scheme: Some(Scheme::Https), ..any() };
    assert_eq!(by(&https, &exact("/a").host("a.example")), (Some(Criterion::Scheme), None));
    assert_eq!(by(&any().host("a.example"), &exact("/a")), (Some(Criterion::Host), None));
    assert_eq!(by(&prefix("/a/b"), &prefix("/a").method(Method::GET)), (Some(Criterion::Path), None));
    assert_eq!(
        by(&any().method(Method::GET), &prefix("/").header("a", "1")),
        (Some(Criterion::Method), None)
    );
    assert_eq!(by(&any().header("a", "1"), &any().query("v", "1")), (Some(Criterion::Headers), None));
    assert_eq!(by(&any().query("v", "1"), &any()), (Some(Criterion::Query), None));
    assert_eq!(by(&any(), &any()), (Some(Criterion::Order), None));
}

#[test]
fn a_route_for_one_scheme_goes_first_and_another_may_leave_one_out() {
    let redirect = RouteMatch { scheme: Some(Scheme::Http), ..any() };
    let routes = [exact("/a").host("shop.example"), redirect, any()];
    let page = get("shop.example", "/a");
    assert_eq!(find(&routes, &page), Some(1));
    assert_eq!(find(&routes, &Request { scheme: Scheme::Https, ..page }), Some(0));
    let routes = [RouteMatch { except: Some(Scheme::Https), ..any() }, any()];
    assert_eq!(find(&routes, &get("", "/")), Some(0));
    assert_eq!(find(&routes, &Request { scheme: Scheme::Https, ..get("", "/") }), Some(1));
}

#[test]
fn the_table_may_be_shared_between_workers() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<RouteTable>();
}
