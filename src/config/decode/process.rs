//! What concerns the process as a whole: `workers`, `trusted_proxies`, `admin`, `access_log`, `shutdown`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::address;
use super::fields::Fields;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{AccessLog, Admin, LogFormat, LogTarget, Shutdown, Workers};
use crate::config::node::Data;

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
    Some(value.items("trusted proxy")?.filter_map(network).collect())
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

pub(super) fn shutdown(value: Value<'_>) -> Option<Shutdown> {
    let mut fields = Fields::open(value)?;
    let range = Duration::ZERO..=Duration::from_secs(24 * 3600);
    let drain_timeout = fields
        .get("drain_timeout", |value| value.duration(range))
        .unwrap_or(Shutdown::default().drain_timeout);
    fields.close();
    Some(Shutdown { drain_timeout })
}
