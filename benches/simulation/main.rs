//! Prints what every strategy makes of every scenario: `cargo bench --bench simulation -- --help`.
//!
//! Not a measurement of this machine: the figures are of virtual time and the same on every machine. What they say of
//! `least_response` is held by `tests/integration/simulation.rs`.
#![expect(unreachable_pub, reason = "nothing outside a bench binary could reach more")]

#[path = "model.rs"]
mod model;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use clap::Parser;

use model::figures::Figures;
use model::scenario::Scenario;
use model::scenarios;
use model::strategy::{ALL, Strategy};
use model::world;

/// Compares balancing strategies in virtual time.
#[derive(Parser)]
struct Flags {
    /// Only the scenarios with this in their name
    #[arg(long)]
    scenario: Option<String>,
    /// Only the strategies with this in their name
    #[arg(long)]
    strategy: Option<String>,
    /// Seeds whose runs make one row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match print(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "simulation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(flags: &Flags) -> io::Result<()> {
    let chosen = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|part| name.contains(part));
    let strategies: Vec<&Strategy> =
        ALL.iter().filter(|strategy| chosen(&flags.strategy, strategy.name)).collect();
    let scenarios = scenarios::all().into_iter().filter(|scenario| chosen(&flags.scenario, scenario.name));
    let scenarios: Vec<Scenario> = scenarios.collect();
    if strategies.is_empty() || scenarios.is_empty() {
        return Err(io::Error::other("no scenario or no strategy has this in its name"));
    }
    let mut summary = table::Summary::default();
    let mut out = io::stdout().lock();
    for scenario in &scenarios {
        let rows: Vec<_> = strategies.iter().copied().zip(run(scenario, &strategies, flags.seeds)).collect();
        table::scenario(&mut out, scenario, &rows)?;
        summary.add(scenario, &rows);
        out.flush()?;
    }
    summary.print(&mut out)
}

/// The figures of each strategy; the runs are shared out over the cores.
fn run(scenario: &Scenario, strategies: &[&Strategy], seeds: u64) -> Vec<Figures> {
    let merged: Vec<_> = strategies.iter().map(|_| Mutex::new(Vec::new())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(strategy) = strategies.get(next.fetch_add(1, Relaxed)) {
            let at = strategies.iter().position(|other| other.name == strategy.name).unwrap_or(0);
            let runs = (0..seeds).map(|seed| world::run(scenario, strategy, seed));
            merged[at].lock().unwrap_or_else(PoisonError::into_inner).extend(runs);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let runs = merged.into_iter().map(|runs| runs.into_inner().unwrap_or_else(PoisonError::into_inner));
    runs.map(|runs| Figures::merged(runs).expect("there is at least one seed")).collect()
}
