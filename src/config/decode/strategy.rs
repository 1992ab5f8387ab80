//! `strategy` and `hash`, of an upstream and of a route.

use http::HeaderName;

use super::fields::Fields;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{HashKey, Strategy};
use crate::config::node::Data;

/// `strategy` and `hash`, which belong together; `default` where neither is there. `None` if one of them is wrong.
pub(super) fn read(fields: &mut Fields<'_>, default: Option<Strategy>) -> Option<Option<Strategy>> {
    let (word, hash) = (fields.take("strategy"), fields.take("hash"));
    let given = match word {
        Some(word) => match word.one_of(&WORDS)? {
            Word::ConsistentHash => return consistent_hash(word, hash).map(Some),
            Word::Plain(strategy) => Some(strategy()),
        },
        None => default,
    };
    match hash {
        Some(hash) => needless(hash, given.as_ref()),
        None => Some(given),
    }
}

fn needless<T>(hash: Value<'_>, strategy: Option<&Strategy>) -> Option<T> {
    match strategy {
        Some(strategy) => {
            let message = format!("`hash` has no meaning for strategy {}", strategy.name());
            hash.refuse_hint(message, "remove it, or write `strategy: consistent_hash`")
        }
        None => hash.refuse_hint(
            "`hash` has no meaning without `strategy`",
            "remove it, or add `strategy: consistent_hash`",
        ),
    }
}

/// The words of `strategy`, before `hash` is looked at.
#[derive(Clone, Copy)]
enum Word {
    Plain(fn() -> Strategy),
    ConsistentHash,
}

const WORDS: [(&str, Word); 7] = [
    ("round_robin", Word::Plain(|| Strategy::RoundRobin)),
    ("weighted", Word::Plain(|| Strategy::Weighted)),
    ("random", Word::Plain(|| Strategy::Random)),
    ("least_connections", Word::Plain(|| Strategy::LeastConnections)),
    ("p2c", Word::Plain(|| Strategy::P2c)),
    ("least_response", Word::Plain(|| Strategy::LeastResponse)),
    ("consistent_hash", Word::ConsistentHash),
];

fn consistent_hash(word: Value<'_>, hash: Option<Value<'_>>) -> Option<Strategy> {
    match hash {
        Some(hash) => hash_key(hash).map(Strategy::ConsistentHash),
        None => word.refuse_hint("strategy consistent_hash needs `hash`", "add `hash: { on: client_ip }`"),
    }
}

fn hash_key(value: Value<'_>) -> Option<HashKey> {
    let mut fields = Fields::open(value)?;
    let on = fields.require("on", "add `on: client_ip`, or cookie, header, query or path", |value| {
        value.one_of(&["cookie", "header", "query", "client_ip", "path"].map(|word| (word, word)))
    });
    let name = fields.take("name");
    fields.close();
    match on? {
        "cookie" => cookie_name(hash_name(value, name)?).map(HashKey::Cookie),
        "header" => header_name(hash_name(value, name)?).map(HashKey::Header),
        "query" => hash_name(value, name)?.text().map(HashKey::Query),
        "client_ip" => no_name(name).map(|()| HashKey::ClientIp),
        _ => no_name(name).map(|()| HashKey::Path),
    }
}

fn hash_name<'a>(hash: Value<'a>, name: Option<Value<'a>>) -> Option<Value<'a>> {
    match name {
        Some(name) if matches!(&name.node.data, Data::Text(text) if text.is_empty()) => {
            name.refuse("`name` is empty")
        }
        Some(name) => Some(name),
        None => hash.refuse_hint("`name` is missing in `hash`", "add `name: NAME` of what is hashed"),
    }
}

fn no_name(name: Option<Value<'_>>) -> Option<()> {
    match name {
        Some(name) => name.refuse_hint("`name` has no meaning for client_ip and path", "remove it"),
        None => Some(()),
    }
}

/// RFC 6265 section 4.1.1: a cookie's name is a token, as a header's is.
pub(super) fn cookie_name(value: Value<'_>) -> Option<String> {
    let name = value.text()?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Some(name),
        Err(_) => value.refuse(format!("{} is not the name of a cookie", quoted(&name))),
    }
}

/// The name of a header, in any case.
pub(super) fn header_name(value: Value<'_>) -> Option<HeaderName> {
    let name = value.text()?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Some(name),
        Err(_) => value.refuse(format!("{} is not the name of a header", quoted(&name))),
    }
}
