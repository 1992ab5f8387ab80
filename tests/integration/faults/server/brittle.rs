//! At which stage of which request a brittle endpoint breaks off, and how: decided by a seed, so that a run can be
//! repeated.

use std::time::Duration;

/// When it ends.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Once the head is read.
    Head,
    /// In the body.
    Body,
    /// Once all is read.
    Request,
    /// In the head of the answer.
    HalfHead,
    /// This long after the answer, when the next request may just be on its way.
    Answer(Duration),
    /// The next request comes on the same connection.
    Never,
}

/// How it ends.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// With a RST, whatever was read.
    Reset,
    /// As the kernel sees fit: a FIN, or a RST if something was not read.
    Close,
    /// Only what it says; it listens on.
    HalfClose,
}

/// Whether a connection is reset before anything is read from it.
pub(super) fn refuses(seed: u64, connection: u64) -> bool {
    mixed(seed ^ connection).is_multiple_of(8)
}

/// Whether this request is one of sixteen.
pub(super) fn one_in_16(target: &str) -> bool {
    mixed(number(target)).is_multiple_of(16)
}

/// What becomes of a request, wherever it arrives.
pub(super) fn fate(seed: u64, target: &str) -> (Stage, Way) {
    let chance = mixed(seed.rotate_left(17) ^ number(target));
    let stage = match chance % 16 {
        0 => Stage::Head,
        1 => Stage::Body,
        2 => Stage::Request,
        3 => Stage::HalfHead,
        4..=9 => Stage::Answer(Duration::from_micros((chance >> 8) % 2000)),
        _ => Stage::Never,
    };
    let way = match (chance >> 32) % 3 {
        0 => Way::Reset,
        1 => Way::Close,
        _ => Way::HalfClose,
    };
    (stage, way)
}

fn number(target: &str) -> u64 {
    target.trim_start_matches(|digit: char| !digit.is_ascii_digit()).parse().unwrap_or(0)
}

/// SplitMix64 (G. Steele and others, "Fast Splittable Pseudorandom Number Generators", 2014).
pub fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
