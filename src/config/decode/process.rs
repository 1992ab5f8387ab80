//! What concerns the process as a whole: `workers`, `trusted_proxies`, `admin`, `access_log`, `shutdown`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::address;
use super::fields::Fields;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{
    AccessLog, Admin, ExplainHeader, LogFormat, LogTarget, Secret, Shutdown, Workers,
};
use crate::config::node::Data;
use crate::config::problem::Severity;

pub(super) fn workers(value: Value<'_>) -> Option<Workers> {
    if matches!(&value.node.data, Data::Text(text) if text == "auto") {
        return Some(Workers::Auto);
    }
    if matches!(&value.node.data, Data::Text(text) if !text.contains("${")) {
        return value.refuse("`workers` must be `auto` or a whole number from 1 to 1024");
    }
    let count = value.whole(1..=1024).and_then(|number| usize::try_from(number).ok())?;
    NonZeroUsize::new(count).map(Workers::Count)
}

pub(super) fn trusted_proxies(value: Value<'_>) -> Option<Vec<IpNet>> {
    networks(value, "trusted proxy")
}

fn networks<'a>(value: Value<'a>, item: &'a str) -> Option<Vec<IpNet>> {
    Some(value.items(item)?.filter_map(network).collect())
}

/// `10.0.0.0/8`, or one address.
fn network(value: Value<'_>) -> Option<IpNet> {
    let text = value.text()?;
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let Some(network) = text.parse().ok().or_else(address) else {
        return value.refuse_hint(
            format!("{} is not a network", quoted(&text)),
            "write it as `10.0.0.0/8`, `2001:db8::/32` or one address",
        );
    };
    if network.trunc() != network {
        let hint = format!("did you mean `{}`?", network.trunc());
        return value.refuse_hint(format!("{} has address bits behind its prefix", quoted(&text)), hint);
    }
    Some(network)
}

pub(super) fn admin(value: Value<'_>) -> Option<Admin> {
    if value.is_off() {
        return Some(Admin::Off);
    }
    if !matches!(value.node.data, Data::Map(_)) {
        let hint = "write `admin: { address: 127.0.0.1:9900 }` or `admin: off`";
        return value.refuse_hint("`admin` must be a map or `off`", hint);
    }
    let mut fields = Fields::open(value)?;
    let hint = "add `address: 127.0.0.1:9900` or `address: unix:/run/tillgate/admin.sock`";
    let admin = fields.require("address", hint, admin_address);
    fields.close();
    admin
}

fn admin_address(value: Value<'_>) -> Option<Admin> {
    let text = value.text()?;
    let Some(path) = text.strip_prefix("unix:") else {
        return address::socket_addr(value).inspect(|address| warn_public(value, *address)).map(Admin::Tcp);
    };
    match Path::new(path).is_absolute() {
        true => Some(Admin::Unix(PathBuf::from(path))),
        false => value.refuse_hint(
            format!("{} is not an absolute path", quoted(path)),
            "write it as `unix:/run/tillgate/admin.sock`",
        ),
    }
}

fn warn_public(value: Value<'_>, address: SocketAddr) {
    if !address.ip().is_loopback() {
        value.warn(
            format!("whoever reaches {address} can reload and drain: the admin server asks for no password"),
            "write 127.0.0.1, or protect the address by a firewall",
        );
    }
}

pub(super) fn access_log(value: Value<'_>) -> Option<AccessLog> {
    if value.is_off() {
        return Some(AccessLog::Off);
    }
    if !matches!(value.node.data, Data::Map(_)) {
        let hint = "write `access_log: { path: stdout, format: json }` or `access_log: off`";
        return value.refuse_hint("`access_log` must be a map or `off`", hint);
    }
    let mut fields = Fields::open(value)?;
    let target = fields.take("path").map_or(Some(LogTarget::Stdout), log_target);
    let formats = [("off", None), ("json", Some(LogFormat::Json)), ("combined", Some(LogFormat::Combined))];
    let format = fields.take("format").map_or(Some(Some(LogFormat::Json)), |value| value.one_of(&formats));
    fields.close();
    match (target?, format?) {
        (_, None) => Some(AccessLog::Off),
        (target, Some(format)) => Some(AccessLog::On { target, format }),
    }
}

fn log_target(value: Value<'_>) -> Option<LogTarget> {
    match value.text()?.as_str() {
        "stdout" => Some(LogTarget::Stdout),
        "stderr" => Some(LogTarget::Stderr),
        path if Path::new(path).is_absolute() => Some(LogTarget::File(PathBuf::from(path))),
        path => value.refuse_hint(
            format!("{} is not stdout, stderr or an absolute path", quoted(path)),
            "write it as `/var/log/tillgate/access.log`",
        ),
    }
}

/// `Some(None)` for `off`.
pub(super) fn explain_header(value: Value<'_>) -> Option<Option<ExplainHeader>> {
    const EXAMPLE: &str =
        "write `explain_header: { addresses: [127.0.0.0/8] }`, with or instead of it `token: \"${TOKEN}\"`";
    if value.is_off() {
        return Some(None);
    }
    if !matches!(value.node.data, Data::Map(_)) {
        return value.refuse_hint("`explain_header` must be a map or `off`", EXAMPLE);
    }
    let mut fields = Fields::open(value)?;
    let given = fields.has("token") || fields.has("addresses");
    let token = fields.get("token", token);
    let addresses = fields.get("addresses", |value| networks(value, "address")).unwrap_or_default();
    fields.close();
    if !given {
        return value.refuse_hint("`explain_header` says of nobody who is told", EXAMPLE);
    }
    if addresses.iter().any(|network| network.prefix_len() == 0) {
        value.warn(
            "everybody is told which endpoint is picked, and why",
            "name the networks of those who may know",
        );
    }
    Some(Some(ExplainHeader { token, addresses }))
}

/// Never repeated in a message, whatever is wrong with it.
fn token(value: Value<'_>) -> Option<Secret> {
    if !matches!(value.node.data, Data::Text(_)) {
        return refuse_token(value, "`token` must be text");
    }
    let text = value.text()?;
    match TOKEN_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Some(Secret::new(text)),
        false => refuse_token(value, "`token` must be 16 to 256 visible ASCII characters without blanks"),
    }
}

/// At the key: the line of the key is shown without what follows it.
fn refuse_token<T>(value: Value<'_>, message: &str) -> Option<T> {
    let hint = "write `token: \"${TOKEN}\"`, and set it to what `openssl rand -hex 16` prints".to_owned();
    value.cx.report(value.key_at, Severity::Error, message.to_owned(), Some(hint));
    None
}

/// Fewer could be guessed.
const TOKEN_BYTES: RangeInclusive<usize> = 16..=256;

pub(super) fn shutdown(value: Value<'_>) -> Option<Shutdown> {
    let mut fields = Fields::open(value)?;
    let range = Duration::ZERO..=Duration::from_secs(24 * 3600);
    let drain_timeout = fields
        .get("drain_timeout", |value| value.duration(range))
        .unwrap_or(Shutdown::default().drain_timeout);
    fields.close();
    Some(Shutdown { drain_timeout })
}
