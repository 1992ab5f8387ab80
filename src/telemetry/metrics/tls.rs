//! TLS of listeners: their certificates, and what becomes of handshakes. Of upstreams, what they show to endpoints.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{Process, counter};
use crate::net::tls::Termination;
use crate::snapshot::Snapshot;

/// Certificates that were replaced while the process ran.
#[derive(Debug, Clone, Copy, Default)]
pub struct Renewals {
    /// How often new ones took effect.
    pub renewed: u64,
    /// How often a file could not be used, so that what was there before stayed.
    pub failed: u64,
}

/// Of the listeners that have TLS, and the upstreams that have a certificate.
pub(super) fn encode(process: &Process, snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    expiry(process, snapshot, out)?;
    handshakes(process, out)?;
    failures(process, out)?;
    let Renewals { renewed, failed } = process.certificates;
    counter(out, "certificate_renewals", "Times that replaced certificates took effect", renewed)?;
    let help = "Files of certificates that were replaced and cannot be used";
    counter(out, "certificate_renewal_failures", help, failed)
}

fn secured(process: &Process) -> impl Iterator<Item = (&str, &Termination)> {
    let listeners = process.listeners.iter().zip(&process.terminations);
    listeners.filter_map(|((_, name), tls)| Some((name.as_str(), tls.as_deref()?)))
}

/// Of certificates with one name, the one that expires first.
fn expiry(process: &Process, snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "When the certificate expires, in seconds since 1970";
    // The unit stands at the end of the name, where OpenMetrics wants it.
    let mut family =
        out.encode_descriptor("certificate_expiry_timestamp", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for (listener, tls) in secured(process) {
        let mut first = BTreeMap::new();
        for credential in &tls.credentials {
            let at = first.entry((credential.leaf.title(), credential.kind)).or_insert(i64::MAX);
            *at = credential.leaf.not_after.min(*at);
        }
        for ((name, kind), at) in &first {
            let labels = [("listener", listener), ("name", name.as_str()), ("key", kind.name())];
            family.encode_family(&labels)?.encode_gauge(at)?;
        }
    }
    for upstream in &snapshot.upstreams {
        if let Some(credential) = upstream.credential() {
            let (name, key) = (credential.leaf.title(), credential.kind.name());
            let labels = [("upstream", &*upstream.name), ("name", name.as_str()), ("key", key)];
            family.encode_family(&labels)?.encode_gauge(&credential.leaf.not_after)?;
        }
    }
    Ok(())
}

fn handshakes(process: &Process, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "TLS handshakes that were finished";
    let mut family = out.encode_descriptor("tls_handshakes", help, None, MetricType::Counter)?;
    for (listener, tls) in secured(process) {
        for done in tls.handshakes.done() {
            let resumed = if done.resumed { "true" } else { "false" };
            let labels = [("listener", listener), ("version", done.version), ("resumed", resumed)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&done.count, None)?;
        }
    }
    Ok(())
}

fn failures(process: &Process, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "TLS handshakes that came to nothing, by why";
    let mut family = out.encode_descriptor("tls_handshake_failures", help, None, MetricType::Counter)?;
    for (listener, tls) in secured(process) {
        for (failure, count) in tls.handshakes.failed() {
            let labels = [("listener", listener), ("reason", failure.name())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}
