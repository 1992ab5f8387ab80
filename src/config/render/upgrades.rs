//! `routes[].upgrades`.

use super::{Doc, text};
use crate::config::model::Upgrades;

pub(super) fn doc(upgrades: &Upgrades) -> Doc {
    match upgrades.is_off() {
        true => text("off"),
        false => Doc::List(upgrades.iter().map(text).collect()),
    }
}
