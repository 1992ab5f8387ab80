use std::time::Duration;

use super::{bad, good, hint, route};
use crate::config::Upgrades;

fn upgrades(line: &str) -> Upgrades {
    good(&route(line)).config.routes.remove(0).upgrades
}

#[test]
fn websockets_are_allowed_unless_a_route_says_otherwise() {
    assert_eq!(upgrades("").iter().collect::<Vec<_>>(), ["websocket"]);
    assert!(upgrades("upgrades: off").is_off());
    let own = upgrades("upgrades: [WebSocket, Chat/2]");
    assert_eq!(own.iter().collect::<Vec<_>>(), ["websocket", "chat/2"]);
    assert!(own.allow(b"WEBSOCKET") && own.allow(b"chat/2"));
    assert!(!own.allow(b"chat") && !own.allow(b"h2c") && !own.allow(b""));
}

#[test]
fn what_would_carry_requests_unseen_is_refused() {
    for protocol in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "connect-udp", "connect-ip"] {
        let problems = bad(&route(&format!("upgrades: [websocket, {protocol}]")));
        let shown = protocol.to_ascii_lowercase();
        assert!(problems[0].starts_with(&format!("7:27 `{shown}` is never passed on: ")), "{problems:?}");
    }
}

#[test]
fn a_list_that_cannot_be_meant_is_told_what_to_write() {
    assert_eq!(hint(&route("upgrades: []")), "write `upgrades: off` to allow none");
    assert_eq!(bad(&route("upgrades: [a, A]")), ["7:19 `a` stands there twice"]);
    assert_eq!(bad(&route("upgrades: [\"a b\"]")), ["7:16 `a b` is not the name of a protocol"]);
    assert_eq!(bad(&route("upgrades: [a/]")), ["7:16 `a/` is not the name of a protocol"]);
    assert_eq!(bad(&route("upgrades: websocket")), ["7:15 `upgrades` must be a list, found `websocket`"]);
    assert_eq!(
        bad(&route("upgrades: [a, b, c, d, e, f, g, h, i]")),
        ["7:15 `upgrades` names 9 protocols, and 8 is the most"]
    );
}

#[test]
fn an_idle_tunnel_has_an_hour_unless_told_otherwise() {
    let idle = |line: &str| good(&route(line)).config.routes[0].timeouts.tunnel_idle;
    assert_eq!(idle(""), Duration::from_secs(3600));
    assert_eq!(idle("timeouts: { idle: 1s }"), Duration::from_secs(3600));
    assert_eq!(idle("timeouts: { tunnel_idle: 5m }"), Duration::from_secs(300));
    assert_eq!(bad(&route("timeouts: { tunnel_idle: 0s }")).len(), 1);
}
