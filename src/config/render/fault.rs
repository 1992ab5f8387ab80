//! `routes[].fault`.

use super::{Doc, duration, map, optional_map, share, text};
use crate::config::model::{Abort, Delay, Fault};

pub(super) fn doc(fault: &Fault) -> Doc {
    let Fault { delay, abort, when } = fault;
    optional_map([
        ("delay", delay.map(delay_doc)),
        ("abort", abort.map(abort_doc)),
        ("when", when.as_ref().map(|header| map([("header", text(header))]))),
    ])
}

fn delay_doc(Delay { length, percent }: Delay) -> Doc {
    map([("for", duration(length)), ("percent", share(percent))])
}

fn abort_doc(Abort { status, percent }: Abort) -> Doc {
    map([("status", Doc::Whole(status.as_u16().into())), ("percent", share(percent))])
}
