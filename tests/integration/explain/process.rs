//! What the running process knows beside the file.

use super::*;

#[test]
fn the_cost_of_a_running_process_says_who_is_picked_now() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let proxy = Yaml::of("least_response", &[&origins[0], &origins[1]]).start();
    let mut client = proxy.client();
    (0..10).for_each(|_| drop(client.get("/")));
    proxy.endpoints_when("shop", |all| {
        all.iter().all(|one| one["cost"]["cold"] == false && one["in_flight"] == 0)
    });
    client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    // Until it has the largest age there is, its cost grows from one look to the next.
    let aged = |one: &serde_json::Value| one["in_flight"] == 1 && one["cost"]["age"] == 4.0;
    let busy = proxy.endpoints_when("shop", |all| all.iter().any(aged));
    let least = || {
        let all = proxy.endpoints_when("shop", |_| true);
        let cost = |index: usize| all[index]["cost"]["total"].as_f64().expect("a number");
        usize::from(cost(1) < cost(0))
    };
    // The other's recent peak fades meanwhile, which may change who is cheaper.
    let (least, said) = eventually("the same order before and after", || {
        let before = least();
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        (before == least()).then_some((before, said))
    });
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert_eq!(said.part("process"), "runs generation 1 of its config");
    let picks = said.part("picks");
    let is_least = picks.starts_with(&format!("{}: cost ", origins[least].address()));
    assert!(is_least && picks.contains(", the lowest of 2"), "{busy:?}\n{}", said.out);
    let table = said.part("endpoints");
    let head: Vec<&str> = table.lines().next().unwrap_or("").split_whitespace().collect();
    assert!(["in", "samples", "cost", "L", "T", "E"].iter().all(|column| head.contains(column)), "{table}");
    assert!(origins.iter().all(|origin| table.contains(&origin.address().to_string())), "{table}");
    gate.open();
    client.response();
}

#[test]
fn requests_in_flight_at_the_running_process_count() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let proxy = Yaml::of("least_connections", &[&origins[0], &origins[1]]).start();
    let mut client = proxy.client();
    client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    let all = proxy.endpoints_when("shop", |all| all.iter().any(|one| one["in_flight"] == 1));
    let (busy, idle) = if all[0]["in_flight"] == 1 { (0, 1) } else { (1, 0) };
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    let shares = format!(
        "of 1000 picks at the load of this moment: {} 1000, {} 0",
        origins[idle].address(),
        origins[busy].address()
    );
    assert!(said.part("picks").ends_with(&shares), "{}", said.out);
    gate.open();
    client.response();
}

#[test]
fn the_admin_server_of_the_config_is_asked_also_on_a_unix_socket() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock");
    let yaml = Yaml::of("random", &[&origin]).admin(&format!("{{ address: \"unix:{}\" }}", socket.display()));
    let proxy = yaml.start();
    let said = explain(&proxy.path(), &["GET", "http://a/"]);
    assert_eq!((said.part("process"), said.code), ("runs generation 1 of its config".into(), Some(0)));
    let (other, _directory) = file(&Yaml::of("random", &[&origin]));
    let typed = format!("unix:{}", socket.display());
    let said = explain(&other, &["--admin", &typed, "GET", "http://a/"]);
    assert_eq!(said.part("process"), "runs generation 1 of its config");
}

#[test]
fn a_process_that_runs_another_config_than_the_file_is_said_to() {
    let (origin, gone) = (Origin::answering(OK), Origin::answering(OK));
    let route = "{ name: all, match: { path_prefix: / }, upstream: shop, strategy: p2c }";
    let proxy = Yaml::of("random", &[&origin]).routes(route).start();
    let (path, _directory) = file(&Yaml::of("random", &[&origin, &gone]));
    let admin = admin_of(&proxy);
    let said = explain(&path, &["--admin", &admin, "GET", "http://a/"]);
    let process = "runs generation 1 of its config\nit balances by p2c: the file has not taken effect";
    assert_eq!((said.part("process"), said.code), (process.into(), Some(0)));
    assert!(said.part("endpoints").contains("not known to the process"), "{}", said.out);
    let said = explain(&proxy.path(), &["--admin", &admin, "GET", "http://a/"]);
    assert_eq!(
        (said.part("strategy"), said.part("process")),
        ("p2c, the route's own".into(), "runs generation 1 of its config".into())
    );
    let only = Yaml::of("random", &[&origin])
        .upstream(&format!("next: {{ endpoints: [\"{}\"] }}", origin.address()))
        .routes("{ name: all, upstream: next }, { match: { path: /shop }, upstream: shop }");
    let (path, _directory) = file(&only);
    let said = explain(&path, &["--admin", &admin, "GET", "http://a/"]);
    assert!(
        said.part("process").ends_with("it has no such upstream: the file has not taken effect"),
        "{}",
        said.out
    );
}

#[test]
fn without_an_answer_the_file_alone_explains() {
    let origin = Origin::answering(OK);
    let free = free_address();
    let (path, _directory) =
        file(&Yaml::of("random", &[&origin]).admin(&format!("{{ address: \"{free}\" }}")));
    let said = explain(&path, &["GET", "http://a/"]);
    let process = said.part("process");
    assert!(process.starts_with(&format!("{free} does not answer (")), "{process}");
    assert!(process.ends_with(": explained from the file alone"), "{process}");
    assert_eq!(said.code, Some(0));
    let any = Yaml::of("random", &[&origin]);
    for (yaml, why) in [
        (any.clone().admin("off"), "not asked: the config says `admin: off`"),
        (any, "not asked: the config gives the admin server any free port; say which with --admin"),
    ] {
        let (path, _directory) = file(&yaml);
        let said = explain(&path, &["GET", "http://a/"]);
        assert_eq!(said.part("process"), format!("{why}: explained from the file alone"));
        assert_eq!((said.code, said.part("upstream")), (Some(0), "shop".into()));
    }
}

#[test]
fn what_is_no_admin_server_is_not_believed() {
    let endless = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\n\r\n");
        while visit.send([b' '; 65_536]) {}
    });
    let silent = Origin::behind(&Gate::default());
    let (page, missing) =
        (Origin::answering(ok_with("{}")), Origin::answering("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"));
    for (origin, why) in [
        (&page, "answers something else ("),
        (&missing, "answers 404 Not Found, as no admin server does"),
        (&silent, "does not answer within 2s"),
        (&endless, "breaks off its answer (length limit exceeded)"),
    ] {
        let admin = origin.address().to_string();
        let said = explain(&example(), &["--admin", &admin, "GET", "http://a/products"]);
        let process = said.part("process");
        assert!(process.starts_with(&format!("{admin} {why}")), "{process}");
        assert_eq!(said.code, Some(0));
    }
}
