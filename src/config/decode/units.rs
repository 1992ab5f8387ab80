//! Durations and sizes as text.

use std::time::Duration;

/// Milliseconds in each unit, largest first.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Bytes in each unit, largest first.
const SIZE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// `250ms`, `5s`, `2m` or `1h`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, millis) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

/// `64KiB`, `10MiB`, `1GiB` or plain bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes)
}

/// The shortest text that [`parse_duration`] reads back; what is below a millisecond is lost.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = DURATION_UNITS.iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size));
    let (name, size) = unit.unwrap_or(&("s", 1000));
    format!("{}{name}", millis / size)
}

/// The shortest text that [`parse_size`] reads back.
pub(crate) fn show_size(bytes: u64) -> String {
    match SIZE_UNITS.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
        Some((name, size)) => format!("{}{name}", bytes / size),
        None => bytes.to_string(),
    }
}

/// Digits, and the unit behind them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}
