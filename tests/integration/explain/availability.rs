//! Who takes no requests, and who has no room.

use super::*;

#[test]
fn endpoints_that_get_nothing_are_said_to_and_why() {
    let (refuser, origins) = (Refuser::bind(), [Origin::answering(OK), Origin::answering(OK)]);
    let addresses = [refuser.address(), origins[0].address(), origins[1].address()];
    let [dead, well, spare] = addresses.map(|address| address.to_string());
    let shop = |strategy: &str| {
        format!(
            "strategy: {strategy}, endpoints: [\"{dead}\", \"{well}\", {{ address: \"{spare}\", backup: true }}], \
             health_check: {{ interval: 100ms, fall: 1 }}"
        )
    };
    for strategy in ["least_response", "random", "consistent_hash, hash: { on: path }"] {
        let proxy = Yaml::new(&shop(strategy)).start();
        proxy.endpoints_when("shop", |all| all[0]["state"] == "unhealthy");
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert_eq!(said.code, Some(0), "{}", said.out);
        let endpoints = said.part("endpoints");
        let row = |address: &str| endpoints.lines().find(|line| line.starts_with(address)).expect("a row");
        assert!(row(&dead).contains("unhealthy") && row(&spare).contains("up, backup"), "{}", said.out);
        let why = format!("health check of {dead}: connection refused");
        assert!(endpoints.ends_with(&why), "{}", said.out);
        let picks = said.part("picks");
        let only = format!("of 1000 picks at the load of this moment: {well} 1000, ");
        match strategy {
            "least_response" => {
                assert!(picks.starts_with(&format!("{well}: cost ")) && picks.contains("of 1"), "{picks}")
            }
            "random" => assert!(picks.contains(&only), "{picks}"),
            _ => assert!(picks.contains(&well), "{picks}"),
        }
        drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{well}/drain")));
        drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{spare}/drain")));
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert!(said.out.contains("too few are fit: health is ignored"), "{}", said.out);
        assert_eq!(said.code, Some(0));
    }
    let proxy = Yaml::new(&format!("{}, panic_threshold_percent: 0", shop("random"))).start();
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{well}/drain")));
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{spare}/drain")));
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["takes_requests"] == false));
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    assert_eq!(said.code, Some(1));
    assert!(said.part("answer").contains("no_endpoint"), "{}", said.out);
}

#[test]
fn without_a_process_a_backup_waits() {
    let yaml = Yaml::new(
        "strategy: random, endpoints: [\"127.0.0.1:7001\", { address: \"127.0.0.1:7002\", backup: true }]",
    );
    let (path, _directory) = file(&yaml);
    let said = explain(&path, &["--offline", "GET", "http://a/"]);
    assert!(said.part("endpoints").ends_with("127.0.0.1:7002  1       backup"), "{}", said.out);
    assert!(said.part("picks").ends_with("127.0.0.1:7001 1000, 127.0.0.1:7002 0"), "{}", said.out);
}

#[test]
fn what_takes_no_requests_at_the_running_process_is_not_picked() {
    let origins = [Origin::answering(OK), Origin::answering(OK)];
    let proxy = Yaml::of("round_robin", &[&origins[0], &origins[1]]).start();
    let addresses = origins.each_ref().map(|origin| origin.address());
    let picks = |of: [usize; 2]| {
        format!("of 1000 picks at the load of this moment: {} 1000, {} 0", addresses[of[0]], addresses[of[1]])
    };
    let drain = |what: &str, at: usize| {
        proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{}/{what}", addresses[at]));
        explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"])
    };
    let said = drain("drain", 0);
    assert!(said.out.contains(&picks([1, 0])), "{}", said.out);
    let said = drain("drain", 1);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.part("answer").contains("no_endpoint"), "{}", said.out);
    let said = drain("undrain", 0);
    assert!(said.out.contains(&picks([0, 1])), "{}", said.out);
}

#[test]
fn the_turns_of_one_that_is_out_are_shared_as_a_worker_shares_them() {
    let origins = [(); 4].map(|()| Origin::answering(OK));
    let addresses = origins.each_ref().map(|origin| origin.address().to_string());
    let proxy = Yaml::before(&origins.each_ref()).start();
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{}/drain", addresses[1])));
    proxy.endpoints_when("shop", |all| all[1]["takes_requests"] == false);
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    let picks = said.part("picks");
    let share = |address: &String| {
        let (_, rest) = picks.split_once(&format!("{address} ")).expect("its share");
        rest.split(',').next().and_then(|count| count.parse::<u32>().ok()).expect("a number")
    };
    let shares = addresses.each_ref().map(share);
    assert_eq!(shares[1], 0);
    assert!([0, 2, 3].iter().all(|at| (333..=334).contains(&shares[*at])), "{shares:?}");
}

#[test]
fn a_full_endpoint_and_what_the_upstream_lets_in_are_said() {
    let gate = Gate::default();
    let (origin, other) = (holding(&gate), Origin::answering(OK));
    let shop = |queue: &str, more: &str| {
        let endpoint = format!("{{ address: \"{}\", max_connections: 1 }}", origin.address());
        Yaml::new(&format!("strategy: round_robin, endpoints: [{endpoint}{more}]{queue}"))
    };
    let (spare, queue) = (
        format!(", {{ address: \"{}\", backup: true }}", other.address()),
        ", queue: { max_in_flight: 7, max_waiting: 3 }",
    );
    let backup = format!("of 1000 picks at the load of this moment: {} 1000", other.address());
    for (yaml, code, label, words, line) in [
        (shop("", ""), 1, "answer", "upstream_full", ""),
        (shop("", &spare), 0, "picks", backup.as_str(), ""),
        (
            shop(queue, ""),
            0,
            "picks",
            "none yet",
            "1 of 1 in flight, 0 waiting; priority normal: 100 % let in",
        ),
    ] {
        let proxy = yaml.start();
        let mut client = proxy.client();
        client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
        proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 1);
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert_eq!((said.code, said.part("queue").as_str()), (Some(code), line), "{}", said.out);
        assert!(said.part("endpoints").contains("up, full"), "{}", said.out);
        assert!(said.part(label).contains(words), "{}", said.out);
    }
    gate.open();
}
