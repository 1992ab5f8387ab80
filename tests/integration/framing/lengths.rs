//! Content-Length says once, in digits, where a body ends.

use super::{Gate, SMUGGLED, get, post};

#[test]
fn conflicting_content_lengths_are_refused() {
    Gate::open().refuses(
        400,
        "malformed_request",
        &[
            ("two lines", post("content-length: 5\r\ncontent-length: 6")),
            ("zero and more", post("content-length: 0\r\ncontent-length: 44")),
            ("a list", post("content-length: 5, 6")),
        ],
    );
}

#[test]
fn a_repeated_content_length_is_refused_even_if_it_says_the_same() {
    let heads = [
        ("twice the same", post("content-length: 5\r\ncontent-length: 5")),
        ("in other letters", post("Content-Length: 5\r\nx-between: 1\r\ncontent-LENGTH: 5")),
    ];
    Gate::open().refuses(400, "repeated_length", &heads);
}

#[test]
fn a_length_that_is_repeated_in_a_pipelined_head_is_sent_on_once() {
    // Such a head is not looked at; RFC 9110 section 8.6 allows to take the two for one, and re-framing makes it so.
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send(format!(
        "{}\r\n{}\r\nhello",
        get("x-first: 1"),
        post("content-length: 5\r\ncontent-length: 5")
    ));
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    let second = &gate.origin.requests()[1];
    assert_eq!((second.all("content-length"), second.text().as_str()), (vec!["5"], "hello"));
}

#[test]
fn a_content_length_that_is_not_digits_only_is_refused() {
    let values =
        ["+5", "-1", "0x5", "5a", "", "5, 5", "5 5", "1e1", "\"5\"", ",5", "99999999999999999999999"];
    let heads = values.map(|value| (value, post(&format!("content-length: {value}"))));
    let gate = Gate::open();
    gate.refuses(400, "malformed_request", &heads);
    // The library counts it as too large before it asks what it is.
    let most = post(&format!("content-length: {}", u64::MAX));
    gate.refuses(431, "headers_too_large", &[("more than anybody can count down", most)]);
}

#[test]
fn a_body_shorter_than_its_length_is_never_whole_at_the_origin() {
    let gate = Gate::open();
    for cut in 0..5 {
        let head = post("content-length: 5");
        gate.breaks_off(&format!("{cut} of 5 bytes"), format!("{head}\r\n{}", &"hello"[..cut]));
    }
}

#[test]
fn what_follows_a_sized_body_is_the_next_request_and_nothing_else() {
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send(format!("{}\r\nhello{}", post("content-length: 5"), "GET /next HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    let seen: Vec<String> = gate.origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(seen, ["POST /", "GET /next"]);
}

#[test]
fn a_get_with_a_body_is_forwarded_with_it() {
    let gate = Gate::open();
    let bytes = format!("{}\r\n{SMUGGLED}", get(&format!("content-length: {}", SMUGGLED.len())));
    assert_eq!(gate.proxy.exchange(bytes).status(), 200);
    assert_eq!(gate.origin.request().text(), SMUGGLED);
}
