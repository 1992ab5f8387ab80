//! Clients that stay with one endpoint by a cookie.

use crate::support::{Client, Gate, Message, OK, Origin, Proxy, Yaml, endpoints, eventually, ok_with};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OLDER: &str = "fedcba9876543210fedcba9876543210";

/// `shop` over these in turn, with `sticky` of these keys.
fn yaml(origins: &[&Origin], keys: &str) -> Yaml {
    Yaml::new(&format!("strategy: round_robin, endpoints: {}, sticky: {{ {keys} }}", endpoints(origins)))
}

/// The value of a cookie that the answer sets.
pub fn cookie(answer: &Message, name: &str) -> Option<String> {
    let values = answer.all("set-cookie").into_iter().filter_map(|set| set.split(';').next());
    let mut values = values.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().map(str::to_owned);
    assert_eq!(values.next(), None, "{}", answer.head);
    value
}

/// GET with a Cookie line.
pub fn get_with(client: &mut Client, cookies: &str) -> Message {
    client.send(format!("GET /p HTTP/1.1\r\nhost: shop.example\r\ncookie: {cookies}\r\n\r\n")).response()
}

/// The name of the origin that answered.
fn who(answer: &Message) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.head);
    answer.text().split(' ').next().unwrap_or_default().to_owned()
}

/// A cookie that names the origin of this name.
fn cookie_for(client: &mut Client, name: &str) -> String {
    eventually("an answer of the origin", || {
        let answer = client.get("/");
        (who(&answer) == name).then(|| format!("tillgate={}", cookie(&answer, "tillgate").expect("a cookie")))
    })
}

#[test]
fn a_client_stays_with_the_endpoint_that_its_cookie_names() {
    let origins = ["a", "b", "c"].map(Origin::echoing);
    let [a, b, c] = &origins;
    let proxy = yaml(&[a, b, c], "").start();
    let mut client = proxy.client();
    let first = client.get("/");
    let value = cookie(&first, "tillgate").expect("a cookie");
    for _ in 0..20 {
        let answer = get_with(&mut client, &format!("tillgate={value}"));
        assert_eq!((who(&answer), answer.all("set-cookie")), (who(&first), vec![]));
    }
    let others: Vec<String> = (0..3).map(|_| who(&client.get("/"))).collect();
    assert!(others.iter().any(|other| *other != who(&first)), "without the cookie, in turn: {others:?}");
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_sticky_requests_total", &[]) == 24);
    let count =
        |result| metrics.count("tillgate_sticky_requests_total", &[("upstream", "shop"), ("result", result)]);
    assert_eq!([count("kept"), count("new"), count("moved")], [20, 4, 0]);
}

#[test]
fn the_cookie_is_set_as_configured_beside_those_of_the_endpoint() {
    let origin = Origin::answering(&b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\ncontent-length: 0\r\n\r\n"[..]);
    let proxy = yaml(&[&origin], "").start();
    let answer = proxy.get("/");
    let set = answer.all("set-cookie");
    assert_eq!(set[0], "a=1");
    assert!(set[1].ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"), "{set:?}");
    let keys = "cookie: own, ttl: 90s, path: /p, secure: true, same_site: none, http_only: false";
    let answer = yaml(&[&origin], keys).start().get("/");
    let set = answer.all("set-cookie");
    assert!(set[1].starts_with("own="), "{set:?}");
    assert!(set[1].ends_with("; Path=/p; Max-Age=90; Secure; SameSite=None"), "{set:?}");
    let address = origin.address().to_string();
    assert!(!answer.head.contains(&address), "{}", answer.head);
}

#[test]
fn no_endpoint_sees_the_cookie_and_the_others_go_through_byte_for_byte() {
    let origin = Origin::answering(OK);
    let proxy = yaml(&[&origin], "").start();
    let mut client = proxy.client();
    let value = cookie(&client.get("/"), "tillgate").expect("a cookie");
    client.send(format!(
        "GET / HTTP/1.1\r\nhost: shop.example\r\ncookie: a=\"1 ,2\";  tillgate={value}; tillgate2=3\r\n\
         cookie: tillgate=made-up\r\ncookie: b=caf\u{e9};c\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 200);
    let requests = origin.requests();
    assert_eq!(requests[1].all("cookie"), ["a=\"1 ,2\"; tillgate2=3", "b=caf\u{e9};c"]);
    drop(get_with(&mut client, &format!("tillgate={value}")));
    assert!(origin.requests()[2].all("cookie").is_empty());
}

#[test]
fn no_endpoint_sees_the_cookies_of_other_upstreams_and_of_splits() {
    let origins = ["a", "b", "c"].map(Origin::echoing);
    let [a, b, c] = origins.each_ref().map(|origin| format!("endpoints: [\"{}\"]", origin.address()));
    let split = "{ name: d, match: { path_prefix: /d }, split_cookie: { name: sd }, \
                 split: [ { upstream: shop, weight: 1 }, { upstream: plain, weight: 1 } ] }";
    let routes = format!(
        "{{ name: a, match: {{ path_prefix: /a }}, upstream: shop }}, \
         {{ name: b, match: {{ path_prefix: /b }}, upstream: next }}, \
         {{ name: c, match: {{ path_prefix: /c }}, upstream: plain }}, {split}"
    );
    let yaml = Yaml::new(&format!("{a}, sticky: {{ cookie: sa }}"));
    let yaml = yaml.upstream(&format!("next: {{ {b}, sticky: {{ cookie: sb }} }}, plain: {{ {c} }}"));
    let proxy = yaml.routes(&routes).start();
    let mut client = proxy.client();
    for path in ["/a", "/b", "/c", "/d"] {
        let cookies = "sa=1; x=1; sb=2; sd=3; sab=4";
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\ncookie: {cookies}\r\n\r\n");
        assert_eq!(client.send(request).response().status(), 200);
    }
    let requests: Vec<Message> = origins.iter().flat_map(Origin::requests).collect();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.all("cookie") == ["x=1; sab=4"]), "{requests:?}");
}

#[test]
fn a_cookie_that_was_tampered_with_is_ignored_and_replaced() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = yaml(&[&origins[0], &origins[1]], "").workers(1).start();
    let mut client = proxy.client();
    let value = cookie(&client.get("/"), "tillgate").expect("a cookie");
    for at in [0, 11, 20, value.len() - 1] {
        let mut other = value.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).expect("ASCII");
        let answers = [0, 1].map(|_| get_with(&mut client, &format!("tillgate={other}")));
        assert_ne!(who(&answers[0]), who(&answers[1]), "balanced as if there were none");
        assert!(answers.iter().all(|answer| cookie(answer, "tillgate").is_some()));
    }
    for other in ["", "127.0.0.1:1", "%00", &"A".repeat(8000)] {
        assert!(cookie(&get_with(&mut client, &format!("tillgate={other}")), "tillgate").is_some());
    }
    let good = get_with(&mut client, &format!("tillgate=made-up; tillgate={value}"));
    assert_eq!(cookie(&good, "tillgate"), None, "one that is good is found among others");
}

#[test]
fn a_drained_endpoint_keeps_its_sessions_and_gets_no_new_ones() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = yaml(&[&origins[0], &origins[1]], "").start();
    let mut client = proxy.client();
    let kept = cookie_for(&mut client, "a");
    let path = format!("/api/v1/upstreams/shop/endpoints/{}", origins[0].address());
    assert_eq!(proxy.admin("POST", &format!("{path}/drain")).status(), 200);
    let answers = |client: &mut Client| {
        (0..6).map(|_| (who(&get_with(client, &kept)), who(&client.get("/")))).collect::<Vec<_>>()
    };
    let each = ("a".to_owned(), "b".to_owned());
    assert_eq!(answers(&mut client), vec![each.clone(); 6]);
    let entries = proxy.endpoints_when("shop", |_| true);
    let said = entries.iter().map(|one| format!("{} {}", one["takes_requests"], one["access"]));
    assert_eq!(said.collect::<Vec<_>>(), ["false \"draining\"", "true \"open\""]);
    assert_eq!(proxy.admin("POST", &format!("{path}/undrain")).status(), 200);
    // The same by weight 0, over a reload that keeps the key.
    let shop = format!(
        "strategy: round_robin, sticky: {{}}, endpoints: [ {{ address: \"{}\", weight: 0 }}, \"{}\" ]",
        origins[0].address(),
        origins[1].address()
    );
    assert_eq!(proxy.reload(&Yaml::new(&shop).to_string()).status(), 200);
    assert_eq!(answers(&mut client), vec![each; 6]);
}

#[test]
fn a_client_of_a_dead_endpoint_moves_and_stays_where_it_moved() {
    // Closes after each answer, so that its end is seen.
    let mortal = Origin::start(|visit| {
        if visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na");
        }
    });
    let (b, c) = (Origin::echoing("b"), Origin::echoing("c"));
    let proxy = yaml(&[&mortal, &b, &c], "").start();
    let mut client = proxy.client();
    let lost = cookie_for(&mut client, "a");
    let address = mortal.address();
    drop(mortal);
    eventually("the end of the origin", || crate::support::refuses(address).then_some(()));
    let moved = get_with(&mut client, &lost);
    let found = format!("tillgate={}", cookie(&moved, "tillgate").expect("a new cookie"));
    for _ in 0..6 {
        let answer = get_with(&mut client, &found);
        assert_eq!((who(&answer), cookie(&answer, "tillgate")), (who(&moved), None));
    }
    let metrics = proxy.metrics();
    assert_eq!(metrics.count("tillgate_sticky_requests_total", &[("result", "moved")]), 1);
}

#[test]
fn a_client_whose_endpoint_is_full_for_a_moment_is_served_elsewhere_and_comes_back() {
    let gate = Gate::default();
    let held = gate.clone();
    let full = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            if request.asks() == "GET /held" {
                held.pass();
            }
            visit.send(ok_with("a"));
        }
    });
    let other = Origin::answering(ok_with("b"));
    let proxy = Yaml::new(&format!(
        "strategy: round_robin, sticky: {{}}, \
         endpoints: [ {{ address: \"{}\", max_connections: 1 }}, \"{}\" ]",
        full.address(),
        other.address()
    ));
    let proxy = proxy.start();
    let mut client = proxy.client();
    let kept = cookie_for(&mut client, "a");
    proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 0);
    let mut holder = proxy.client();
    holder.send(format!("GET /held HTTP/1.1\r\nhost: shop.example\r\ncookie: {kept}\r\n\r\n"));
    proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 1);
    let elsewhere = get_with(&mut client, &kept);
    assert_eq!((who(&elsewhere).as_str(), elsewhere.all("set-cookie")), ("b", vec![]));
    gate.open();
    assert_eq!(who(&holder.response()), "a");
    proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 0);
    let back = get_with(&mut client, &kept);
    assert_eq!((who(&back).as_str(), back.all("set-cookie")), ("a", vec![]));
}

#[test]
fn an_endpoint_that_left_the_config_has_no_more_sessions() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = yaml(&[&origins[0], &origins[1]], "").start();
    let mut client = proxy.client();
    let lost = cookie_for(&mut client, "a");
    assert_eq!(proxy.reload(&yaml(&[&origins[1]], "").to_string()).status(), 200);
    let answer = get_with(&mut client, &lost);
    assert_eq!((who(&answer).as_str(), cookie(&answer, "tillgate").is_some()), ("b", true));
}

#[test]
fn proxies_with_one_secret_agree_and_secrets_can_be_changed() {
    let origins = ["a", "b"].map(Origin::echoing);
    let with = |secrets: &str| yaml(&[&origins[0], &origins[1]], secrets).start();
    let old = cookie_for(&mut with(&format!("secret: {OLDER}")).client(), "a");
    let told = |proxy: &Proxy| {
        let mut client = proxy.client();
        let answers = [0, 1, 2].map(|_| get_with(&mut client, &old));
        (answers.iter().all(|answer| who(answer) == "a"), cookie(&answers[0], "tillgate").is_some())
    };
    assert_eq!(told(&with(&format!("secret: {OLDER}"))), (true, false));
    assert_eq!(told(&with(&format!("secrets: [{SECRET}, {OLDER}]"))), (true, true), "kept, by a new cookie");
    assert_eq!(told(&with(&format!("secret: {SECRET}"))), (false, true));
    assert_eq!(told(&with("")), (false, true));
}

#[test]
fn an_answer_of_tillgates_own_names_no_endpoint() {
    let dead = crate::support::Refuser::bind();
    let shop = format!("strategy: round_robin, endpoints: [\"{}\"], sticky: {{}}", dead.address());
    let answer = Yaml::new(&shop).start().get("/");
    assert_eq!((answer.status(), answer.all("set-cookie")), (502, vec![]));
}

#[test]
fn a_sticky_pick_is_told_to_those_who_may_know() {
    let origin = Origin::answering(ok_with("a"));
    let proxy = yaml(&[&origin], "").line("explain_header: { addresses: [127.0.0.0/8] }").start();
    let mut client = proxy.client();
    let first = client.get("/");
    let value = cookie(&first, "tillgate").expect("a cookie");
    let account = get_with(&mut client, &format!("tillgate={value}"));
    let endpoint = account.header("x-tillgate-endpoint").expect("an account");
    assert_eq!(endpoint, format!("{}; sticky: the client's cookie names it", origin.address()));
}
