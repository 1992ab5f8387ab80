//! Whose a hash is.

use super::*;

#[test]
fn the_endpoint_of_a_hash_is_the_one_that_gets_the_request() {
    let origins = ["a", "b", "c"].map(Origin::echoing);
    let [a, b, c] = &origins;
    let yaml = Yaml::of("consistent_hash, hash: { on: header, name: X-Shop }", &[a, b, c]);
    let proxy = yaml.start();
    let mut owners = std::collections::HashSet::new();
    // Which keys an endpoint owns depends on its port. Sixty leave one without any once in ten thousand million runs.
    for number in 0..60 {
        if number >= 12 && owners.len() == 3 {
            break;
        }
        let answer = proxy.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\nx-shop: s{number}\r\n\r\n"));
        let name = answer.text().remove(0);
        let owner = &origins[usize::from(name as u8 - b'a')];
        let header = format!("X-Shop: s{number}");
        let live = ["--admin", &admin_of(&proxy), "GET", "http://a/", "-H", &header];
        for arguments in [&["--offline", "GET", "http://a/", "-H", &header][..], &live] {
            let said = explain(&proxy.path(), arguments);
            let picks =
                format!("{}, the owner of this hash while endpoints and weights stay", owner.address());
            assert_eq!(said.part("picks"), picks, "{}", said.out);
            assert!(said.part("hash").starts_with(&format!("header x-shop s{number} is ")), "{}", said.out);
        }
        owners.insert(name);
    }
    assert_eq!(owners.len(), 3, "{owners:?}");
    let said = explain(&proxy.path(), &["--offline", "GET", "http://a/"]);
    assert!(
        said.part("picks").starts_with("the request has no header x-shop: at random by weight"),
        "{}",
        said.out
    );
}

#[test]
fn an_owner_that_is_full_is_said_to_pass_the_request_on() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let yaml = Yaml::of("consistent_hash, hash: { on: path }", &[&origins[0], &origins[1]]);
    let proxy = yaml.start();
    let held: Vec<_> = (0..8)
        .map(|_| {
            let mut client = proxy.client();
            client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
            client
        })
        .collect();
    let all = proxy.endpoints_when("shop", |all| all.iter().any(|one| one["in_flight"] == 8));
    let (owner, other) = if all[0]["in_flight"] == 8 { (0, 1) } else { (1, 0) };
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/held"]);
    let picks = format!(
        "{}, the owner of this hash while endpoints and weights stay\n\
         but now {}: the owner has more than 1.25 times its share in flight",
        origins[owner].address(),
        origins[other].address()
    );
    assert_eq!(said.part("picks"), picks, "{}", said.out);
    gate.open();
    drop(held);
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_hashed() {
    let (path, _directory) = file(
        &Yaml::new("strategy: consistent_hash, hash: { on: client_ip }, endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\"]")
            .line("trusted_proxies: [10.0.0.0/8]"),
    );
    let hash = |from: &str| {
        let forwarded = "X-Forwarded-For: 192.0.2.7";
        explain(&path, &["--offline", "--from", from, "GET", "http://a/", "-H", forwarded]).part("hash")
    };
    assert!(hash("10.1.2.3").starts_with("client address 192.0.2.7 is "), "{}", hash("10.1.2.3"));
    assert!(hash("203.0.113.9").starts_with("client address 203.0.113.9 is "));
}
