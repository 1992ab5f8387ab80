//! Runs one scenario with one strategy from one seed: events in the order of their time, nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::balance::{Balance, Ending, Request};
use super::endpoint::{Behaviour, Station};
use super::figures::Figures;
use super::law::exponential;
use super::scenario::Scenario;
use super::strategy::Strategy;

/// A client that has waited so long gives up.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);
/// To be refused takes a turn over the network, an error page a little work.
const REFUSAL: Duration = Duration::from_micros(300);
const ERROR_PAGE: Duration = Duration::from_millis(1);
/// Four of five requests are GETs.
const SAFE: f64 = 0.8;

/// What came of `scenario` with `strategy`. The same three arguments give the same figures.
pub fn run(scenario: &Scenario, strategy: &Strategy, seed: u64) -> Figures {
    World::new(scenario, strategy, seed).run()
}

struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    /// When requests arrive; no strategy draws from it.
    arrivals: fastrand::Rng,
    /// What the strategies draw from.
    choices: fastrand::Rng,
    proxies: Vec<Box<dyn Balance>>,
    stations: Vec<Station>,
    events: BinaryHeap<Reverse<Event>>,
    scheduled: u64,
    /// By request; `None` once it has ended.
    live: Vec<Option<Live>>,
    waiting: usize,
    figures: Figures,
}

/// Ordered by time, then by when it was scheduled.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Duration,
    order: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrival,
    Tick {
        proxy: usize,
    },
    Join {
        endpoint: usize,
    },
    /// A server is done with a request.
    Done {
        id: usize,
        endpoint: usize,
    },
    /// A request ends without a server being freed.
    End {
        id: usize,
        ending: Ending,
    },
}

/// A request whose client waits.
struct Live {
    request: Request,
    proxy: usize,
    endpoint: usize,
    arrived: Duration,
    /// Its own luck, the same whatever endpoint serves it.
    rng: fastrand::Rng,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, strategy: &Strategy, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let fleet = scenario.fleet();
        let proxies = (0..scenario.proxies).map(|_| (strategy.build)(&fleet, rng.u64(..))).collect();
        let mut faults = rng.fork();
        let station = |endpoint: &_| Station::new(Clone::clone(endpoint), scenario.length, &mut faults);
        Self {
            scenario,
            seed,
            stations: scenario.endpoints.iter().map(station).collect(),
            arrivals: rng.fork(),
            choices: rng.fork(),
            proxies,
            events: BinaryHeap::new(),
            scheduled: 0,
            live: Vec::new(),
            waiting: 0,
            figures: Figures::new(),
        }
    }

    fn run(mut self) -> Figures {
        self.schedule_the_given();
        while let Some(Reverse(event)) = self.events.pop() {
            self.happen(event.what, event.at);
        }
        assert_eq!(self.waiting, 0, "requests that never ended: {}", self.scenario.name);
        self.figures.finish(self.scenario);
        self.figures
    }

    /// Proxies tick out of step, as they do.
    fn schedule_the_given(&mut self) {
        for proxy in 0..self.proxies.len() {
            let phase = (proxy as f64 + 1.0) / self.proxies.len() as f64;
            self.schedule(TICK.mul_f64(phase), What::Tick { proxy });
        }
        for endpoint in self.scenario.fleet().present..self.stations.len() {
            self.schedule(self.scenario.endpoints[endpoint].joins, What::Join { endpoint });
        }
        self.schedule(Duration::ZERO, What::Arrival);
    }

    fn happen(&mut self, what: What, now: Duration) {
        match what {
            What::Arrival => self.arrive(now),
            What::Tick { proxy } => self.tick(proxy, now),
            What::Join { endpoint } => self.proxies.iter_mut().for_each(|proxy| proxy.joined(endpoint, now)),
            What::Done { id, endpoint } => self.done(id, endpoint, now),
            What::End { id, ending } => self.end(id, ending, now),
        }
    }

    fn tick(&mut self, proxy: usize, now: Duration) {
        self.proxies[proxy].tick(now);
        if now < self.scenario.length || self.waiting > 0 {
            self.schedule(now + TICK, What::Tick { proxy });
        }
    }

    fn arrive(&mut self, now: Duration) {
        let next = now + Duration::from_secs_f64(exponential(1.0 / self.scenario.rate, &mut self.arrivals));
        if next < self.scenario.length {
            self.schedule(next, What::Arrival);
        }
        let live = self.new_request(now);
        let (id, endpoint) = (live.request.id, live.endpoint);
        self.figures.picked(endpoint, now);
        self.live.push(Some(live));
        self.waiting += 1;
        self.send(id, endpoint, now);
    }

    fn new_request(&mut self, now: Duration) -> Live {
        let id = self.live.len();
        // Neighbouring seeds of this generator give unrelated numbers only once they are spread.
        let mut rng =
            fastrand::Rng::with_seed((self.seed << 32 | id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let route = u16::from(rng.f64() < self.scenario.heavy);
        let request = Request { id, route, safe: rng.f64() < SAFE };
        let proxy = rng.usize(0..self.proxies.len());
        let endpoint = self.proxies[proxy].pick(request, now, &mut self.choices);
        Live { request, proxy, endpoint, arrived: now, rng }
    }

    fn send(&mut self, id: usize, endpoint: usize, now: Duration) {
        match self.stations[endpoint].endpoint.behaviour(now) {
            Behaviour::Serve { .. } => self.serve(id, endpoint, now),
            Behaviour::Refuse => self.schedule(now + REFUSAL, What::End { id, ending: Ending::Refused }),
            Behaviour::Answer500 => {
                self.schedule(now + ERROR_PAGE, What::End { id, ending: Ending::Status500 })
            }
            Behaviour::Answer503 => {
                self.schedule(now + ERROR_PAGE, What::End { id, ending: Ending::Status503 })
            }
            Behaviour::Hang => self.schedule(now + PATIENCE, What::End { id, ending: Ending::TimedOut }),
        }
    }

    fn serve(&mut self, id: usize, endpoint: usize, now: Duration) {
        if self.stations[endpoint].admit(id, now) {
            self.begin(id, endpoint, now);
        } else {
            self.schedule(now + PATIENCE, What::End { id, ending: Ending::TimedOut });
        }
    }

    /// A server turns to a request; to one that was given up in the queue only to drop it.
    fn begin(&mut self, id: usize, endpoint: usize, now: Duration) {
        let Some(live) = &mut self.live[id] else {
            self.stations[endpoint].leave();
            return;
        };
        let service = match self.stations[endpoint].endpoint.behaviour(now) {
            Behaviour::Serve { law, .. } => law.draw(live.request.route, &mut live.rng),
            Behaviour::Refuse | Behaviour::Answer500 | Behaviour::Answer503 | Behaviour::Hang => PATIENCE,
        };
        let end = self.stations[endpoint].end_of(now, service);
        let deadline = live.arrived + PATIENCE;
        self.schedule(end, What::Done { id, endpoint });
        if end > deadline {
            self.schedule(deadline.max(now), What::End { id, ending: Ending::TimedOut });
        }
    }

    fn done(&mut self, id: usize, endpoint: usize, now: Duration) {
        self.stations[endpoint].leave();
        self.end(id, Ending::Success, now);
        while let Some(next) = self.stations[endpoint].next(now) {
            self.begin(next, endpoint, now);
        }
    }

    /// Nothing, if the request has ended before.
    fn end(&mut self, id: usize, ending: Ending, now: Duration) {
        let Some(live) = self.live[id].take() else { return };
        self.waiting -= 1;
        let latency = now - live.arrived;
        self.proxies[live.proxy].ended(live.endpoint, live.request, latency, ending, now);
        if live.arrived >= self.scenario.warm_up {
            self.figures.ended(latency, ending);
        }
    }

    fn schedule(&mut self, at: Duration, what: What) {
        self.scheduled += 1;
        self.events.push(Reverse(Event { at, order: self.scheduled, what }));
    }
}
