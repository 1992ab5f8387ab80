//! Endpoints that fail while a thousand requests a second come: real processes, killed, stopped and misbehaving.
//!
//! One of three endpoints (or all of them) meets each fault, under each of [`STRATEGIES`]. What is claimed:
//! - No GET fails: each is answered 200 with its own target in the body, as long as another endpoint is there. One
//!   exception lies in HTTP: where the body of an answer breaks off, the head has reached the client, and no other
//!   answer can be begun. Then the client must be able to see that it is cut, and nobody else but those fails.
//! - No POST is received twice, by whomever. Each that fails is told so with `x-tillgate-upstream-sent`, and where that
//!   says `none`, nobody has received it. Each that is answered has been received.
//! - The endpoint has its share again after the fault, and the proxy gives back its descriptors and memory.

mod endpoint;
mod load;
mod posts;
mod server;
mod verdict;
mod wire;

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use self::endpoint::Endpoint;
use self::load::Load;
use self::server::Mode;
use self::verdict::Allowed;
use crate::support::{Program, Yaml, eventually};

/// Each fault meets each of these; in `make soak` each that there is, and so often.
const STRATEGIES: [&str; 2] = ["round_robin", "least_response"];
const ROUNDS: &str = "TILLGATE_SOAK_ROUNDS";

/// One load at a time: two would share the cores, and be none of [`load::RATE`].
static LOAD: Mutex<()> = Mutex::new(());

/// What the route says. A GET may go to each of the three endpoints; the budget is the default.
const ROUTE: &str = "timeouts: { request: 10s, per_try: 1s }, \
                     retry: { attempts: 2, on: [connect_failure, reset, timeout, 500, 502, 503, 504] }";

/// What finds out who fails, and that it does so no more. All endpoints may be out at once.
const HEALTH: &str = "health_check: { path: /healthz, interval: 200ms, timeout: 200ms, rise: 1, fall: 2 }, \
                      outlier_detection: { base_ejection: 1s, interval: 1s, max_ejection: 2s }";

/// Short, so that what a fault leaves behind is gone soon after.
const CONNECTION: &str = "connect_timeout: 500ms, idle_timeout: 1s";

/// Requests before a fault, and during it.
const BEFORE: usize = 400;
const DURING: usize = 1000;

/// Requests that a recovered endpoint must have received.
const BACK: usize = 100;

/// A machine that lets a thread wait this long for a core, a tenth of the time for a try, makes healthy endpoints time out:
/// then a GET may fail by that, and only by that. It excuses no POST.
const STARVED: Duration = Duration::from_millis(100);

/// What the proxy may hold more of than before: descriptors, and bytes.
const DESCRIPTORS: usize = 4;
const MEMORY: u64 = 32 << 20;

/// Three endpoints and a proxy before them, under load.
struct Scene {
    endpoints: Vec<Endpoint>,
    program: Program,
    load: Load,
    descriptors: usize,
    memory: u64,
    _directory: TempDir,
}

impl Scene {
    fn begin(strategy: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let endpoints: Vec<Endpoint> = (0..3).map(|seed| Endpoint::start(directory.path(), seed)).collect();
        let addresses = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address()));
        let addresses = addresses.collect::<Vec<_>>().join(", ");
        let yaml = Yaml::new(&format!("strategy: {strategy}, {HEALTH}, endpoints: [{addresses}]"));
        let path = directory.path().join("tillgate.yaml");
        fs::write(&path, yaml.connection(CONNECTION).route(ROUTE).to_string()).expect("write");
        let program = Program::run(&path);
        let web = program.web();
        let descriptors = program.descriptors();
        let load = Load::start(web);
        load.meet(BEFORE);
        let memory = program.memory();
        Self { endpoints, program, load, descriptors, memory, _directory: directory }
    }

    /// Waits until the endpoint has its share again.
    fn recover(&self, index: usize) {
        let received = self.endpoints[index].received().len();
        let back = || (self.endpoints[index].received().len() >= received + BACK).then_some(());
        eventually("traffic to be back", back);
    }

    fn end(self, what: &str, allowed: Allowed) {
        let Self { endpoints, program, load, descriptors, memory, .. } = self;
        let finished = load.finish();
        let starved = finished.late > STARVED;
        verdict::pass(what, &finished.asked, &endpoint::tally(&endpoints), allowed, starved);
        let given_back = || (program.descriptors() <= descriptors + DESCRIPTORS).then_some(());
        eventually("descriptors to be given back", given_back);
        let more = program.memory().saturating_sub(memory);
        assert!(more <= MEMORY, "{what}: {more} bytes more than before");
    }
}

/// Lets endpoints fail from `begins` to `ends` of a fault, for each strategy.
fn survive(allowed: Allowed, hit: &[usize], begins: impl Fn(&mut Endpoint), ends: impl Fn(&mut Endpoint)) {
    let _alone = LOAD.lock().unwrap_or_else(PoisonError::into_inner);
    for strategy in strategies() {
        let mut scene = Scene::begin(strategy);
        hit.iter().for_each(|index| begins(&mut scene.endpoints[*index]));
        scene.load.meet(DURING);
        hit.iter().for_each(|index| ends(&mut scene.endpoints[*index]));
        hit.iter().for_each(|index| scene.recover(*index));
        scene.end(strategy, allowed);
    }
}

/// How often a soak goes through everything, if this is one.
fn rounds() -> Option<usize> {
    std::env::var(ROUNDS).ok().map(|rounds| rounds.parse().expect("a number of rounds"))
}

fn strategies() -> Vec<&'static str> {
    match rounds() {
        None => STRATEGIES.to_vec(),
        Some(rounds) => crate::load::STRATEGIES.repeat(rounds),
    }
}

/// The same for a process that misbehaves by itself.
fn survive_mode(mode: Mode, allowed: Allowed) {
    survive(allowed, &[0], |one| one.becomes(mode), |one| one.becomes(Mode::Normal));
}

#[test]
fn an_endpoint_is_killed_and_started_again_later() {
    survive(Allowed::Nothing, &[0], Endpoint::kill, Endpoint::revive);
}

#[test]
fn an_endpoint_restarts_again_and_again() {
    let restart = |one: &mut Endpoint| {
        one.kill();
        one.revive();
    };
    survive(Allowed::Nothing, &[0], restart, restart);
}

#[test]
fn an_endpoint_is_stopped_and_goes_on() {
    survive(Allowed::Nothing, &[0], |one| one.signal(Signal::STOP), |one| one.signal(Signal::CONT));
}

#[test]
fn an_endpoint_refuses_connections() {
    survive_mode(Mode::Refuse, Allowed::Nothing);
}

#[test]
fn an_endpoint_accepts_and_never_answers() {
    survive_mode(Mode::Silent, Allowed::Nothing);
}

#[test]
fn an_endpoint_breaks_off_in_the_head_of_its_answers() {
    survive_mode(Mode::HalfHead, Allowed::Nothing);
}

#[test]
fn an_endpoint_breaks_off_in_the_body_of_its_answers() {
    survive_mode(Mode::HalfBody, Allowed::CutBodies);
}

#[test]
fn an_endpoint_answers_what_is_not_http() {
    survive_mode(Mode::Garbage, Allowed::Nothing);
}

#[test]
fn an_endpoint_answers_more_than_it_says() {
    survive_mode(Mode::TooMuch, Allowed::Nothing);
}

#[test]
fn an_endpoint_answers_with_heads_that_do_not_end() {
    survive_mode(Mode::EndlessHead, Allowed::Nothing);
}

#[test]
fn an_endpoint_answers_500_at_once() {
    survive_mode(Mode::Error, Allowed::Nothing);
}

#[test]
fn all_endpoints_are_killed_and_started_again_later() {
    survive(Allowed::Failures, &[0, 1, 2], Endpoint::kill, Endpoint::revive);
}
