//! The worlds in which `least_response` has to hold its own: equal ones, where every difference it sees is chance, and
//! the failures that operators know.
//!
//! Service times are exponential with a mean of 5 ms where nothing else is said.

use super::endpoint::{Behaviour, Endpoint};
use super::law::Law;
use super::scenario::Scenario;

const MEAN_MS: f64 = 5.0;

/// Every scenario, in the order of the table.
pub fn all() -> Vec<Scenario> {
    [equal(), slow(), tails(), mixes(), joining(), failing(), turning(), limited()].concat()
}

fn usual() -> Endpoint {
    exponential(MEAN_MS)
}

fn exponential(mean_ms: f64) -> Endpoint {
    Endpoint::serving(Law::exponential(mean_ms))
}

/// `count` usual ones, then `others`.
fn usual_and(count: usize, others: impl IntoIterator<Item = Endpoint>) -> Vec<Endpoint> {
    std::iter::repeat_with(usual).take(count).chain(others).collect()
}

fn equal() -> Vec<Scenario> {
    let log_normal = || Endpoint::serving(Law::LogNormal { median_ms: MEAN_MS, sigma: 1.2 });
    vec![
        Scenario::new("equal", "four alike", usual_and(4, [])),
        Scenario::new("equal_low_rate", "four alike, 20 requests/s", usual_and(4, []))
            .rate(20.0)
            .seconds(300),
        Scenario::new("equal_5_per_second", "four alike, 5 requests/s", usual_and(4, []))
            .rate(5.0)
            .seconds(600),
        Scenario::new("equal_busy", "four alike, 2 servers each, load 50 %", vec![usual().servers(2); 4]),
        Scenario::new("two_equal", "two alike", usual_and(2, [])).rate(400.0),
        Scenario::new("log_normal", "four alike, log-normal, sigma 1.2", vec![log_normal(); 4]),
    ]
}

fn slow() -> Vec<Scenario> {
    let slow = || exponential(MEAN_MS * 10.0);
    vec![
        Scenario::new("one_of_four_slow", "one of four 10 x slower", usual_and(3, [slow()])),
        Scenario::new("one_of_ten_slow", "one of ten 10 x slower", usual_and(9, [slow()])),
        Scenario::new("four_of_forty_slow", "4 of 40 10 x slower", usual_and(36, vec![slow(); 4])),
        Scenario::new("slow_5_per_second", "one of four 10 x slower, 5 requests/s", usual_and(3, [slow()]))
            .rate(5.0)
            .seconds(600),
    ]
}

fn tails() -> Vec<Scenario> {
    let heavy = || Endpoint::serving(Law::HeavyTail { mean_ms: 2.0, share: 0.03, extra_ms: 80.0 });
    // The mean of the heavy ones: 2 + 3 % of 80.
    let light = || Endpoint::serving(Law::Steady { mean_ms: 4.4 });
    let stalls = || usual().stalling();
    vec![
        Scenario::new(
            "heavy_tail",
            "one of four: 3 % take 80 ms more, same mean",
            vec![light(), light(), light(), heavy()],
        ),
        Scenario::new(
            "two_heavy_tails",
            "two of four: 3 % take 80 ms more, same mean",
            vec![light(), light(), heavy(), heavy()],
        ),
        Scenario::new(
            "outliers",
            "four alike, 400 requests/s: steady 5 ms, and 5 s for one in 3,000",
            vec![
                Endpoint::serving(Law::HeavyTail { mean_ms: 5.0, share: 1.0 / 3000.0, extra_ms: 5000.0 });
                4
            ],
        )
        .rate(400.0)
        .seconds(180),
        Scenario::new("two_stall", "two of four stall 250 ms every 2-3 s", usual_and(2, vec![stalls(); 2])),
        Scenario::new("all_stall", "all four stall 250 ms every 2-3 s, not in phase", vec![stalls(); 4]),
    ]
}

fn mixes() -> Vec<Scenario> {
    let pages = |light_ms, heavy_ms| {
        Endpoint::serving(Law::ByRoute(vec![Law::exponential(light_ms), Law::exponential(heavy_ms)]))
    };
    vec![
        Scenario::new(
            "bimodal",
            "four alike; routes of 2 ms (90 %) and 60 ms (10 %)",
            vec![pages(2.0, 60.0); 4],
        )
        .heavy(0.1),
        // About one heavy page in a hundred: chance puts an endpoint's p99 on either side of it.
        Scenario::new(
            "heavy_by_chance",
            "four alike, 100 requests/s; routes of 2 ms and (1 %) 300 ms",
            vec![pages(2.0, 300.0); 4],
        )
        .heavy(0.01)
        .rate(100.0)
        .seconds(300),
    ]
}

fn joining() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "slow_joins",
            "one 15 x slower joins four at 30 s",
            usual_and(4, [exponential(MEAN_MS * 15.0).joining(30)]),
        )
        .watch(Some(30), None),
        Scenario::new("equal_joins", "an equal one joins four at 30 s", usual_and(4, [usual().joining(30)]))
            .watch(None, Some(30)),
    ]
}

fn failing() -> Vec<Scenario> {
    let bad = |what: Behaviour| usual_and(3, [usual().then(30, what)]);
    let back = |what, second| usual_and(3, [usual().then(30, what).then_mean(second, MEAN_MS)]);
    vec![
        Scenario::new("instant_500", "one answers 500 at once from 30 s", bad(Behaviour::Answer500))
            .watch(Some(30), None),
        Scenario::new("instant_503", "one answers 503 at once from 30 s", bad(Behaviour::Answer503))
            .watch(Some(30), None),
        Scenario::new("refuses", "one refuses from 30 s to 60 s", back(Behaviour::Refuse, 60))
            .seconds(90)
            .watch(Some(30), Some(60)),
        Scenario::new(
            "one_of_two_refuses",
            "one of two refuses from 30 s to 60 s",
            vec![usual(), usual().then(30, Behaviour::Refuse).then_mean(60, MEAN_MS)],
        )
        .rate(400.0)
        .seconds(90)
        .watch(Some(30), Some(60)),
        Scenario::new("hangs", "one hangs from 30 s to 50 s", back(Behaviour::Hang, 50))
            .seconds(90)
            .watch(Some(30), Some(50)),
    ]
}

fn turning() -> Vec<Scenario> {
    let slower = MEAN_MS * 20.0;
    let flapping = [15, 30, 45]
        .iter()
        .fold(usual(), |endpoint, &second| endpoint.then_mean(second, slower).then_mean(second + 5, MEAN_MS));
    vec![
        Scenario::new(
            "turns_slow",
            "one 20 x slower from 30 s",
            usual_and(3, [usual().then_mean(30, slower)]),
        )
        .watch(Some(30), None),
        Scenario::new(
            "slow_and_back",
            "one 20 x slower from 30 s to 60 s, run to 150 s",
            usual_and(3, [usual().then_mean(30, slower).then_mean(60, MEAN_MS)]),
        )
        .seconds(150)
        .watch(Some(30), Some(60)),
        Scenario::new("flaps", "one 20 x slower for 5 s in every 15 s", usual_and(3, [flapping]))
            .watch(Some(15), Some(20)),
    ]
}

/// Where requests queue, so that herding and overload hurt.
fn limited() -> Vec<Scenario> {
    let mean_ms = 20.0;
    let station = |servers| exponential(mean_ms).servers(servers);
    let fewer = Behaviour::Serve { law: Law::exponential(mean_ms), servers: Some(2) };
    let loses = || station(8).then(30, fewer.clone());
    vec![
        Scenario::new(
            "four_proxies",
            "four proxies, 8 servers of 20 ms each, one 10 x slower",
            vec![station(8), station(8), station(8), exponential(mean_ms * 10.0).servers(8)],
        )
        .proxies(4),
        Scenario::new(
            "capacity_loss",
            "8 servers of 20 ms each, load 50 %; two of four drop to 2 servers at 30 s",
            vec![station(8), station(8), loses(), loses()],
        )
        .watch(Some(30), None),
        Scenario::new("light_weights", "weights 1:4, 20 requests/s", vec![usual(), usual().weight(4)])
            .rate(20.0)
            .seconds(300),
        Scenario::new(
            "weights",
            "weights 1:2:4 with 4, 8, 16 servers of 20 ms",
            vec![station(4).weight(1), station(8).weight(2), station(16).weight(4)],
        ),
    ]
}
