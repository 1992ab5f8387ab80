//! The command line, parsed into types that cannot hold nonsense.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// What both services are told at their start.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Address to serve on; port 0 takes a free one, and the bound address is printed on stdout
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// SQLite file that all replicas of the service share (created when missing), or `:memory:` for a single one
    #[arg(long, value_name = "PATH")]
    pub store: PathBuf,

    /// What the answer header `x-replica` says [default: the port]
    #[arg(long)]
    pub name: Option<String>,

    /// How the replica misbehaves.
    #[command(flatten)]
    pub faults: FaultOptions,
}

/// Faults for experiments. All but the stall leave `/healthz` alone.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Faults")]
pub struct FaultOptions {
    /// Added to every answer, such as 5ms
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0ms")]
    pub latency: Duration,

    /// Added to every answer as well: uniform between nothing and this
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0ms")]
    pub jitter: Duration,

    /// Everything, /healthz too, waits once per this time, like in a garbage collection
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "stall_for")]
    pub stall_every: Option<Duration>,

    /// How long it waits then; less than --stall-every
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "stall_every")]
    pub stall_for: Option<Duration>,

    /// Share of requests answered 500 before they touch the store
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0")]
    pub error_percent: Percent,

    /// Makes the faults repeatable
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// A share between 0 and 100.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// Whether a uniform `draw` from 0..1 falls into this share. 0 never does, 100 always.
    pub fn covers(self, draw: f64) -> bool {
        draw * 100.0 < self.0
    }
}

fn percent(text: &str) -> Result<Percent, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(Percent(share)),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a whole number and a unit, such as 250us, 250ms, 5s or 2m";
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (count, unit) = text.split_at(unit_at);
    let count: u64 = count.parse().map_err(|_| EXPECTED)?;
    match unit {
        "us" => Ok(Duration::from_micros(count)),
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs).ok_or_else(|| EXPECTED.to_owned()),
        _ => Err(EXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_a_whole_number_and_a_unit() {
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn durations_without_a_number_or_a_known_unit_are_refused() {
        for text in
            ["", "5", "ms", "-5ms", "1.5s", "5 ms", "5h", "99999999999999999999s", "18446744073709551615m"]
        {
            assert!(duration(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn percents_outside_0_to_100_are_refused() {
        for text in ["-1", "100.1", "NaN", "inf", "", "5%"] {
            assert!(percent(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn no_draw_falls_into_0_percent_and_every_draw_into_100() {
        for draw in [0.0, 0.5, 1.0 - f64::EPSILON] {
            assert!(!Percent(0.0).covers(draw));
            assert!(Percent(100.0).covers(draw));
        }
    }
}
