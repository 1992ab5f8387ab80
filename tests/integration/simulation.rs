//! The simulated world itself (`benches/simulation`): does it queue, fail, stall and repeat as it should, and does
//! Tillgate's policy find its way in it?

#[path = "../../benches/simulation/model.rs"]
mod model;

mod bounds;

use std::time::Duration;

use model::endpoint::{Endpoint, Station};
use model::figures::{Figures, longest};
use model::law::Law;
use model::scenario::Scenario;
use model::strategy::{ALL, OURS};
use model::{scenarios, world};

const SEED: u64 = 7;

fn scenario(name: &str) -> Scenario {
    scenarios::all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of this name")
}

fn run(scenario: &Scenario, strategy: &str) -> Figures {
    let strategy = ALL.iter().find(|known| known.name == strategy).expect("a strategy of this name");
    world::run(scenario, strategy, SEED)
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_seed_others() {
    for strategy in &ALL {
        let hangs = scenario("hangs").seconds(45);
        let first = world::run(&hangs, strategy, SEED);
        assert_eq!(first, world::run(&hangs, strategy, SEED), "{}", strategy.name);
        assert_ne!(first, world::run(&hangs, strategy, SEED + 1), "{}", strategy.name);
    }
}

/// M/M/1: the mean time in the system is 1 / (service rate - arrival rate).
#[test]
fn one_server_with_a_queue_takes_as_long_as_theory_says() {
    let server = vec![Endpoint::serving(Law::exponential(5.0)).servers(1)];
    for (rate, expected_ms) in [(50.0, 1000.0 / 150.0), (100.0, 10.0), (150.0, 20.0)] {
        let alone = Scenario::new("alone", "one server", server.clone()).rate(rate).seconds(600);
        let mean_ms = run(&alone, "round_robin").mean_ms();
        assert!((mean_ms / expected_ms - 1.0).abs() < 0.05, "{rate}/s: {mean_ms} ms, not {expected_ms} ms");
    }
}

#[test]
fn a_service_without_a_queue_takes_as_long_as_its_law_says() {
    let expected = [(0.5, 5.0 * 2_f64.ln()), (0.99, 5.0 * 100_f64.ln()), (0.999, 5.0 * 1000_f64.ln())];
    let figures = run(&scenario("equal"), "round_robin");
    for (quantile, expected_ms) in expected {
        let ms = figures.quantile_ms(quantile);
        assert!((ms / expected_ms - 1.0).abs() < 0.1, "{quantile}: {ms} ms, not {expected_ms} ms");
    }
}

#[test]
fn round_robin_gives_exact_shares() {
    let within_one =
        |shares: &[u64]| shares.iter().max().unwrap_or(&0) - shares.iter().min().unwrap_or(&0) <= 1;
    let shares = run(&scenario("equal"), "nginx_round_robin").shares;
    assert!(within_one(&shares[0]), "{shares:?}");
    let weighted = run(&scenario("weights"), "nginx_round_robin").share_range(&scenario("weights"));
    assert!((0.999..=1.0).contains(&weighted.0) && (1.0..1.001).contains(&weighted.1), "{weighted:?}");
}

#[test]
fn every_request_ends_as_a_success_or_as_an_error() {
    for name in ["equal", "all_stall", "four_proxies"] {
        let figures = run(&scenario(name), "nginx_round_robin");
        assert_eq!(figures.requests(), figures.shares.iter().flatten().sum::<u64>(), "{name}");
    }
}

#[test]
fn a_quarter_of_the_requests_fails_where_one_of_four_fails_and_nobody_minds() {
    for name in ["instant_500", "instant_503", "refuses", "hangs"] {
        let failing = scenario(name).seconds(50);
        let figures = run(&failing, "round_robin");
        // From 30 s to the end at 50 s.
        let expected = failing.rate * 20.0 / 4.0;
        assert!((figures.errors as f64 / expected - 1.0).abs() < 0.05, "{name}: {}", figures.errors);
        assert_eq!(longest(&figures.left), None, "{name}");
    }
}

#[test]
fn nothing_progresses_in_a_stall() {
    let stall = Duration::from_millis(250);
    let endpoint = Endpoint::serving(Law::exponential(5.0)).stalling();
    let station = Station::new(endpoint, Duration::from_secs(60), &mut fastrand::Rng::with_seed(SEED));
    let starts = (0..50_000).map(Duration::from_millis);
    let delays = starts.map(|start| station.end_of(start, Duration::ZERO) - start);
    let (within, longest) = delays.fold((0, Duration::ZERO), |(within, longest), delay| {
        (within + u32::from(delay > Duration::ZERO), longest.max(delay))
    });
    // 250 ms in every 2.25 to 3.25 s.
    assert!((3800..5600).contains(&within), "{within} of 50000 ms");
    assert!(longest <= stall && longest > stall - Duration::from_millis(2), "{longest:?}");
    let ten_seconds = Duration::from_secs(10);
    let stalled = station.end_of(Duration::ZERO, ten_seconds) - ten_seconds;
    assert!(stalled >= stall * 3 && stalled <= stall * 5, "{stalled:?}");
}

#[test]
fn four_proxies_share_the_requests_and_all_see_the_slow_endpoint() {
    let four = scenario("four_proxies");
    let (least, most) = run(&four, OURS).share_range(&four);
    assert!(least < 0.1 && most < 1.5, "{least} {most}");
}

#[test]
fn one_of_four_endpoints_ten_times_slower_gets_far_less_than_a_quarter() {
    let slow = scenario("one_of_four_slow");
    let share = |strategy| run(&slow, strategy).share_range(&slow).0;
    assert!(share(OURS) < 0.1, "{}", share(OURS));
    assert!(share(OURS) * 2.0 < share("least_connections"));
}

#[test]
fn equal_endpoints_stay_equal() {
    let equal = scenario("equal");
    let (least, most) = run(&equal, OURS).share_range(&equal);
    assert!(least > 0.95 && most < 1.05, "{least} {most}");
}

#[test]
fn an_endpoint_that_recovers_is_found_again() {
    let back = longest(&run(&scenario("slow_and_back"), OURS).returned);
    assert!(back.is_some_and(|back| back < Duration::from_secs(60)), "{back:?}");
}
