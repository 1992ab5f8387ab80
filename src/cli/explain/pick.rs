//! Which endpoint a pick would give, and why.
//!
//! A balancer is asked as a worker asks it. What it looks at is set as the running process has it: requests in flight
//! here, the costs of `least_response` in that process itself.

use std::net::IpAddr;
use std::time::Instant;

use super::live::{Entry, Pool};
use super::report::Report;
use crate::config::{HashKey, Strategy};
use crate::policy::availability::Access;
use crate::policy::balance::{Balancer, Cursor, Hint, hash_key};
use crate::policy::endpoint::InFlight;
use crate::policy::forward::sticky_value;
use crate::policy::reason::Reason;
use crate::proxy::received::Received;
use crate::snapshot::Endpoint;

/// Picks that are tried to show shares.
const PICKS: usize = 1000;
/// Endpoints whose shares are shown.
const SHOWN: usize = 10;
/// More requests in flight at one endpoint than this make no difference to what is shown.
const MOST_IN_FLIGHT: u32 = 100_000;
/// In pools over this size it is said that a pick may not look at all.
const MANY: usize = 16;

/// What there is to pick from.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) strategy: &'a Strategy,
    pub(super) balancer: &'a Balancer,
    pub(super) endpoints: &'a [Endpoint],
    pub(super) client: IpAddr,
    /// What the running process knows.
    pub(super) pool: Option<&'a Pool>,
    /// All that are open there are full, so that backups are asked.
    pub(super) overflows: bool,
    /// Whether a request waits where all are full.
    pub(super) waits: bool,
}

/// What a worker has of its own.
struct Worker {
    cursor: Cursor,
    rng: fastrand::Rng,
}

/// Says what is picked and why.
pub(super) fn explain(question: &Question<'_>, received: &Received<'_>, report: &mut Report) {
    if question.open().next().is_none() {
        return none(question, report);
    }
    report.served();
    match question.strategy {
        Strategy::LeastResponse => by_cost(question, report),
        Strategy::ConsistentHash(key) => by_hash(question, key, received, report),
        Strategy::RoundRobin => {
            by_shares(question, "each in turn; every worker keeps turns of its own", report)
        }
        Strategy::Weighted => {
            by_shares(question, "each in turn by weight; every worker keeps turns of its own", report);
        }
        Strategy::Random => by_shares(question, "at random by weight", report),
        Strategy::LeastConnections => {
            by_shares(question, "the fewest requests in flight per weight; equals at random", report);
        }
        Strategy::P2c => {
            by_shares(question, "the less busy of two that are drawn at random by weight", report)
        }
    }
}

/// Nobody takes it now.
fn none(question: &Question<'_>, report: &mut Report) {
    match (question.overflows, question.waits) {
        (true, true) => {
            report.served();
            report.line("picks", "none yet: every endpoint is full, and the request waits for room");
        }
        (true, false) => report.refused(Reason::UpstreamFull),
        (false, _) => report.refused(Reason::NoEndpoint),
    }
}

/// Two digits after the point, and no more than the size of what a cold endpoint on trial costs.
pub(super) fn short(number: f64) -> String {
    if number.abs() < 1e6 { format!("{number:.2}") } else { format!("{number:.0e}") }
}

/// An endpoint that takes requests, and what the running process knows of it.
struct Priced<'a> {
    name: &'a str,
    cost: f64,
    /// The cost without the weight, by which those that are idle are compared.
    slowness: f64,
    in_flight: u32,
}

fn price<'a>((endpoint, entry): (&'a Endpoint, Option<&Entry>)) -> Option<Priced<'a>> {
    let entry = entry?;
    let cost = entry.cost.total?;
    Some(Priced {
        name: &endpoint.name,
        cost,
        slowness: cost * f64::from(endpoint.weight),
        in_flight: entry.in_flight,
    })
}

/// The lowest cost, as the running process has it.
fn by_cost(question: &Question<'_>, report: &mut Report) {
    let mut priced: Vec<Priced<'_>> = question.open().filter_map(price).collect();
    priced.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.in_flight.cmp(&b.in_flight)));
    let best = best_of(&priced);
    let Some(least) = priced.first() else {
        let rule = "the lowest cost; before any latency is known, the fewest in flight";
        return by_shares(question, rule, report);
    };
    let draw = if best.len() > 1 { "; drawn by weight" } else { "" };
    let lowest =
        format!("{}: cost {}, the lowest of {}{draw}", best.join(" or "), short(least.cost), priced.len());
    report.line("picks", lowest);
    if let Some(next) = priced.iter().find(|one| !best.contains(&one.name)) {
        report.line("", format!("next is {} with {}", next.name, short(next.cost)));
    }
    if priced.len() > MANY {
        report.line("", "in a large pool a pick compares some drawn at random, so it may be another");
    }
    legend(report);
}

/// Those that a pick is drawn from: where the lowest cost is an idle one's, all idle ones that are as fast as the fastest of
/// them.
fn best_of<'a>(priced: &[Priced<'a>]) -> Vec<&'a str> {
    let Some(least) = priced.first() else { return Vec::new() };
    let idle = priced.iter().filter(|one| one.in_flight == 0);
    let fastest = idle.map(|one| one.slowness).fold(f64::INFINITY, f64::min) * (1.0 + 1e-6);
    let equal = |one: &&Priced<'_>| match least.in_flight {
        0 => one.in_flight == 0 && one.slowness <= fastest,
        in_flight => one.cost == least.cost && one.in_flight == in_flight,
    };
    priced.iter().filter(equal).map(|one| one.name).collect()
}

fn legend(report: &mut Report) {
    report.line("", "cost: the largest of L^2, M and T, over E, x A x load per weight; lower wins");
    report.line("", "x (1 + penalty)^2 while it fails; a cold one that has a request already comes last");
    report.line(
        "",
        "L: mean beyond the quantile, M: long mean, T: recent peak, each against the pool's and 1 if near it",
    );
    report.line("", "A: age of what waits for its head; E: (share without failure)^4");
}

/// The owner of the hash, and who has it now if the owner is full.
fn by_hash(question: &Question<'_>, key: &HashKey, received: &Received<'_>, report: &mut Report) {
    let Some(value) = sticky_value(key, &received.head(), question.client) else {
        let words = format!("the request has no {}: at random by weight", named(key));
        return by_shares(question, &words, report);
    };
    let hash = hash_key(&value);
    report.line("hash", format!("{} {} is {hash:016x}", named(key), shown(key, &value, question.client)));
    let Some(owner) = question.owner(hash) else { return };
    let name = |index: usize| &question.endpoints[index].name;
    report.line("picks", format!("{}, the owner of this hash while endpoints and weights stay", name(owner)));
    let _busy = question.busy();
    if let Some(now) = question.pick(Some(hash), &mut question.worker()).filter(|now| *now != owner) {
        let why = match question.takes_requests(owner) {
            true => "has more than 1.25 times its share in flight",
            false if question.is_full(owner) => "is full",
            false => "takes no requests",
        };
        report.line("", format!("but now {}: the owner {why}", name(now)));
    }
}

fn named(key: &HashKey) -> String {
    match key {
        HashKey::Cookie(name) => format!("cookie {name}"),
        HashKey::Header(name) => format!("header {name}"),
        HashKey::Query(name) => format!("query parameter {name}"),
        HashKey::ClientIp => "client address".to_owned(),
        HashKey::Path => "path".to_owned(),
    }
}

fn shown(key: &HashKey, value: &[u8], client: IpAddr) -> String {
    match key {
        HashKey::ClientIp => client.to_string(),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

/// For strategies that give many answers: how often each.
fn by_shares(question: &Question<'_>, rule: &str, report: &mut Report) {
    report.line("picks", rule);
    let _busy = question.busy();
    let mut counts = vec![0_usize; question.endpoints.len()];
    // One worker's: those that each begin anew would each begin at random, and pass on the turns of those that are out.
    let mut worker = question.worker();
    for _ in 0..PICKS {
        question.pick(None, &mut worker).into_iter().for_each(|index| counts[index] += 1);
    }
    let mut shares: Vec<(usize, &str)> = counts
        .into_iter()
        .zip(question.endpoints)
        .map(|(count, endpoint)| (count, &*endpoint.name))
        .collect();
    shares.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut words: Vec<String> =
        shares.iter().take(SHOWN).map(|(count, name)| format!("{name} {count}")).collect();
    if shares.len() > SHOWN {
        words.push(format!("{} others", shares.len() - SHOWN));
    }
    let state = if question.pool.is_some() { "the load of this moment" } else { "no load" };
    report.line("", format!("of {PICKS} picks at {state}: {}", words.join(", ")));
}

impl Question<'_> {
    /// One that has just begun.
    fn worker(&self) -> Worker {
        let mut rng = fastrand::Rng::with_seed(0);
        Worker { cursor: self.balancer.cursor(&mut rng), rng }
    }

    /// One pick.
    fn pick(&self, key: Option<u64>, worker: &mut Worker) -> Option<usize> {
        self.pick_among(key, worker, |index| self.takes_requests(index))
    }

    /// Whose a hash is, whether or not it takes requests.
    fn owner(&self, hash: u64) -> Option<usize> {
        self.pick_among(Some(hash), &mut self.worker(), |_| true)
    }

    fn pick_among(
        &self,
        key: Option<u64>,
        Worker { cursor, rng }: &mut Worker,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let hint = Hint { now: Instant::now(), key, safe: false };
        self.balancer.pick(cursor, hint, eligible, rng)
    }

    /// Endpoints that take requests, and what is known of each.
    fn open(&self) -> impl Iterator<Item = (&Endpoint, Option<&Entry>)> {
        let all = self.endpoints.iter().enumerate();
        let open = all.filter(|(index, endpoint)| endpoint.weight > 0 && self.takes_requests(*index));
        open.map(|(_, endpoint)| (endpoint, self.entry(endpoint)))
    }

    /// As the running process has it: it may be drained, ejected or full there, or its siblings may be. By the file alone,
    /// backups do not.
    fn takes_requests(&self, index: usize) -> bool {
        let endpoint = &self.endpoints[index];
        let live = self.entry(endpoint).filter(|entry| entry.weight == endpoint.weight);
        let by_file = || self.balancer.candidates()[index].state.gives(Access::Open);
        live.map_or_else(by_file, |entry| {
            let is_asked = entry.takes_requests || (self.overflows && entry.is_spare());
            is_asked && !entry.is_full()
        })
    }

    fn is_full(&self, index: usize) -> bool {
        self.entry(&self.endpoints[index]).is_some_and(Entry::is_full)
    }

    fn entry(&self, endpoint: &Endpoint) -> Option<&Entry> {
        self.pool.and_then(|pool| pool.entry(&endpoint.name))
    }

    /// As many requests in flight as the running process has, until dropped.
    fn busy(&self) -> Vec<InFlight> {
        let candidates = self.endpoints.iter().zip(self.balancer.candidates());
        let begin = |(endpoint, candidate): (&Endpoint, &crate::policy::endpoint::Candidate)| {
            let count = self.entry(endpoint).map_or(0, |entry| entry.in_flight.min(MOST_IN_FLIGHT));
            (0..count).map(|_| candidate.state.begin()).collect::<Vec<_>>()
        };
        candidates.flat_map(begin).collect()
    }
}
