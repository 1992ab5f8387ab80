//! A POST that meets a connection its endpoint has closed, before the proxy has noticed.

use rustix::process::Signal;

use crate::support::{Client, Gate, OK, Origin, Program, Yaml};

/// The second request and the end of the endpoint's connection reach a proxy that stands still, in this order, and so in
/// one turn of its event loop: the request finds the connection open, and the connection finds itself closed with the
/// request in its queue.
#[test]
fn a_post_queued_on_a_connection_that_is_found_closed_is_sent_on_a_new_one() {
    let (answered, closing) = (Gate::default(), Gate::default());
    let (told, waits) = (answered.clone(), closing.clone());
    let origin = Origin::start(move |visit| {
        if visit.request().is_some() && visit.send(OK) && visit.number == 1 {
            told.open();
            waits.pass();
        }
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, Yaml::before(&[&origin]).workers(1).to_string()).expect("write");
    let program = Program::run(&path);
    let mut client = Client::connect(program.web());
    assert_eq!(client.post("/1", "first").status(), 200);
    answered.pass();
    program.freeze();
    client.send("POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nsecond");
    closing.open();
    origin.wait_for_ends(1);
    program.signal(Signal::CONT);
    let response = client.response();
    assert_eq!(response.status(), 200, "{}", response.head);
    let seen: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!((seen, origin.connections()), (vec!["POST /1".to_owned(), "POST /2".to_owned()], 2));
}
