//! `proxy_protocol`.

use super::rendering::survives;
use super::{MINIMAL, bad, good, hint, listed, read, top, upstream};
use crate::config::{AcceptProxy, SendProxy, to_json};

/// A small config whose listener has the key with this value.
fn listener(value: &str) -> String {
    MINIMAL.replace("8080\" }", &format!("8080\", proxy_protocol: {value} }}"))
}

fn trusting(value: &str) -> String {
    format!("{}trusted_proxies: [10.0.0.0/8]\n", listener(value))
}

#[test]
fn a_listener_reads_no_header_unless_told_to() {
    for text in [MINIMAL.to_owned(), listener("off"), trusting("off")] {
        assert_eq!(good(&text).config.listeners[0].proxy_protocol, AcceptProxy::Off);
    }
    for (word, accept) in [("optional", AcceptProxy::Optional), ("require", AcceptProxy::Require)] {
        let loaded = good(&trusting(word));
        assert_eq!(loaded.config.listeners[0].proxy_protocol, accept);
        assert_eq!(listed(&loaded.warnings), [""; 0]);
    }
}

#[test]
fn an_upstream_is_sent_no_header_unless_told_to() {
    let sent = |text: &str| good(text).config.upstreams[0].connection.proxy_protocol;
    assert_eq!(sent(MINIMAL), SendProxy::Off);
    for (word, send) in [("off", SendProxy::Off), ("v1", SendProxy::V1), ("v2", SendProxy::V2)] {
        assert_eq!(sent(&upstream(&format!("proxy_protocol: {word}"))), send);
    }
}

#[test]
fn a_word_that_is_none_of_those_is_told_which_there_are() {
    assert_eq!(
        bad(&trusting("required")),
        ["2:53 `proxy_protocol` must be one of off, optional, require, found `required`"]
    );
    assert_eq!(hint(&trusting("required")), "did you mean `require`?");
    assert_eq!(
        bad(&trusting("true")),
        ["2:53 `proxy_protocol` must be one of off, optional, require, found `true`"]
    );
    let v3 = upstream("proxy_protocol: v3");
    assert_eq!(bad(&v3), ["5:21 `proxy_protocol` must be one of off, v1, v2, found `v3`"]);
}

#[test]
fn an_upstream_that_names_clients_keeps_a_bounded_number_of_their_connections() {
    let idle = |most: u32, word: &str| {
        upstream(&format!("proxy_protocol: {word}\nconnection: {{ max_idle: {most} }}"))
    };
    assert_eq!(
        bad(&idle(1025, "v2")),
        ["5:21 `max_idle` may be 1024 at most where each connection is one client's"]
    );
    good(&idle(1024, "v2"));
    good(&idle(1025, "off"));
}

#[test]
fn a_listener_that_requires_what_it_believes_of_nobody_is_refused() {
    let message = "`proxy_protocol: require` closes every connection, since `trusted_proxies` names nobody";
    assert_eq!(bad(&listener("require")), [format!("2:53 {message}")]);
    assert_eq!(
        hint(&listener("require")),
        "add `trusted_proxies: [10.0.0.0/8]` with the addresses of the proxy in front"
    );
    let unreadable = format!("{}trusted_proxies: [ten]\n", listener("require"));
    let problems = bad(&unreadable);
    assert_eq!(problems.len(), 1, "the mistake is there, and only there: {problems:?}");
}

#[test]
fn a_listener_that_would_read_what_it_believes_of_nobody_is_warned_of() {
    let loaded = read(&listener("optional")).expect("it serves");
    assert_eq!(
        listed(&loaded.warnings),
        ["2:53 no PROXY header is read, since `trusted_proxies` names nobody"]
    );
}

#[test]
fn both_are_printed_and_read_back() {
    for word in ["off", "optional", "require"] {
        survives(&trusting(word));
    }
    for word in ["off", "v1", "v2"] {
        survives(&upstream(&format!("proxy_protocol: {word}")));
    }
    let json = to_json(&good(&top("")).config);
    assert_eq!(json["listeners"]["web"]["proxy_protocol"], "off");
    assert_eq!(json["upstreams"]["shop"]["proxy_protocol"], "off");
}
