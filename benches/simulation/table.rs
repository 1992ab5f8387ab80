//! The figures as Markdown: a table for each scenario, and at the end how `least_response` stands to its best rival.

use std::io::{self, Write};
use std::time::Duration;

use super::model::figures::{Figures, longest};
use super::model::scenario::Scenario;
use super::model::strategy::{OURS, Strategy};

/// Prints the rows of one scenario.
pub fn scenario(out: &mut impl Write, scenario: &Scenario, rows: &[(&Strategy, Figures)]) -> io::Result<()> {
    let requests = rows.first().map_or(0, |(_, figures)| figures.requests());
    writeln!(out, "### {}: {}; {requests} requests\n", scenario.name, scenario.about)?;
    writeln!(
        out,
        "| strategy            |   mean |    p50 |    p99 |   p99.9 | errors | share of fair | leaves | returns |"
    )?;
    writeln!(
        out,
        "| ------------------- | -----: | -----: | -----: | ------: | -----: | ------------: | -----: | ------: |"
    )?;
    for (strategy, figures) in rows {
        row(out, scenario, strategy, figures)?;
    }
    writeln!(out)
}

fn row(out: &mut impl Write, scenario: &Scenario, strategy: &Strategy, figures: &Figures) -> io::Result<()> {
    let (least, most) = figures.share_range(scenario);
    let quantile = |quantile| figures.quantile_ms(quantile);
    writeln!(
        out,
        "| {:<19} | {:>6.1} | {:>6.1} | {:>6.1} | {:>7.1} | {:>6} | {least:>5.2} - {most:<5.2} | {:>6} | {:>7} |",
        strategy.name,
        figures.mean_ms(),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        figures.errors,
        time(&figures.left),
        time(&figures.returned),
    )
}

/// The longest of all seeds.
fn time(times: &[Option<Duration>]) -> String {
    match longest(times) {
        _ if times.is_empty() => "-".to_owned(),
        None => "never".to_owned(),
        Some(time) => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// One line for each scenario that had `least_response` and a rival in it.
#[derive(Default)]
pub struct Summary {
    lines: Vec<String>,
}

impl Summary {
    pub fn add(&mut self, scenario: &Scenario, rows: &[(&Strategy, Figures)]) {
        let ours = rows.iter().find(|(strategy, _)| strategy.name == OURS);
        let best = |quantile| best_rival(rows, quantile);
        if let (Some((_, ours)), Some(p99), Some(p999)) = (ours, best(0.99), best(0.999)) {
            let errors = rivals(rows).map(|(_, figures)| figures.errors).min().unwrap_or(0);
            let half = |best: (&str, f64), ours: f64| {
                format!("{ours:>7.1} | {:>5.2} | {:<19}", ours / best.1, best.0)
            };
            self.lines.push(format!(
                "| {:<18} | {} | {} | {} / {errors} |",
                scenario.name,
                half(p99, ours.quantile_ms(0.99)),
                half(p999, ours.quantile_ms(0.999)),
                ours.errors,
            ));
        }
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "### {OURS} beside the best rival of each figure\n")?;
        writeln!(
            out,
            "Percentiles are of requests that succeeded; errors are {OURS}'s and the fewest of a rival.\n"
        )?;
        writeln!(
            out,
            "| scenario           |  p99 ms | ratio | best rival          |  p99.9  | ratio | best rival          | errors |"
        )?;
        writeln!(
            out,
            "| ------------------ | ------: | ----: | ------------------- | ------: | ----: | ------------------- | ------ |"
        )?;
        self.lines.iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

fn rivals<'a>(rows: &'a [(&Strategy, Figures)]) -> impl Iterator<Item = (&'static str, &'a Figures)> {
    rows.iter().filter(|(strategy, _)| strategy.rival).map(|(strategy, figures)| (strategy.name, figures))
}

fn best_rival(rows: &[(&Strategy, Figures)], quantile: f64) -> Option<(&'static str, f64)> {
    let times = rivals(rows).map(|(name, figures)| (name, figures.quantile_ms(quantile)));
    times.min_by(|a, b| a.1.total_cmp(&b.1))
}
