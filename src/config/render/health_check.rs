//! `upstreams.*.health_check`.

use super::{Doc, bytes, duration, text, whole};
use crate::config::model::{GrpcProbe, HealthCheck, HttpProbe, Probe};

type Entries = Vec<(String, Doc)>;

pub(super) fn doc(check: Option<&HealthCheck>) -> Doc {
    let Some(HealthCheck { probe, port, interval, timeout, rise, fall }) = check else { return text("off") };
    let kind = entries([("type", Some(text(probe.name())))]);
    let common = entries([
        ("port", port.map(|port| whole(port.get().into()))),
        ("interval", Some(duration(*interval))),
        ("timeout", Some(duration(*timeout))),
        ("rise", Some(whole((*rise).into()))),
        ("fall", Some(whole((*fall).into()))),
    ]);
    Doc::Map([kind, own(probe), common].concat())
}

/// What belongs to this kind of check alone.
fn own(probe: &Probe) -> Entries {
    match probe {
        Probe::Http(probe) => http(probe),
        Probe::Tcp => Entries::new(),
        Probe::Grpc(GrpcProbe { service, host }) => {
            entries([("service", service.as_ref().map(text)), ("host", host.as_ref().map(text))])
        }
    }
}

fn http(probe: &HttpProbe) -> Entries {
    let HttpProbe { method, path, host, headers, expect, body } = probe;
    let value = |value: &http::HeaderValue| bytes(value.as_bytes());
    let headers: Entries = headers.iter().map(|(name, text)| (name.to_string(), value(text))).collect();
    entries([
        ("method", Some(text(method))),
        ("path", Some(text(path))),
        ("host", host.as_ref().map(text)),
        ("headers", (!headers.is_empty()).then_some(Doc::Map(headers))),
        ("expect", Some(text(expect))),
        ("body", body.as_ref().map(text)),
    ])
}

fn entries<const N: usize>(list: [(&str, Option<Doc>); N]) -> Entries {
    list.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
