//! Starts replicas, speaks to them, and ends them by id when a test is over, also when it fails.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use ureq::http::Response;
use ureq::{Agent, Body};

pub(crate) const ORDER: &str = env!("CARGO_BIN_EXE_order");
pub(crate) const PAYMENT: &str = env!("CARGO_BIN_EXE_payment");

/// How long anything may take that should happen soon. Long, because the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with a store, removed with the test. The store itself does not exist yet.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.path().join("missing-folder").join("store.sqlite")
    }
}

/// A running process of a service.
pub(crate) struct Replica {
    process: Process,
    pub(crate) address: String,
    agent: Agent,
}

impl Replica {
    pub(crate) fn start(binary: &str, store: &Path, options: &[&str]) -> Self {
        Starting::spawn(binary, store, options).listening()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::of(self.agent.get(self.url(path)).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.agent.post(self.url(path)).send_json(body))
    }

    pub(crate) fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        Answer::of(self.agent.post(self.url(path)).header("idempotency-key", key).send_json(body))
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> Answer {
        Answer::of(self.agent.post(self.url(path)).content_type("application/json").send(body))
    }

    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.process.0), Signal::TERM).expect("the replica is running");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the replica ends", || self.process.0.try_wait().expect("its status can be asked for"))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A child that does not outlive the test, whichever way that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that has not said yet where it listens. Several can be started at the same time.
pub(crate) struct Starting {
    process: Process,
    said: mpsc::Receiver<String>,
}

impl Starting {
    pub(crate) fn spawn(binary: &str, store: &Path, options: &[&str]) -> Self {
        let mut process = Command::new(binary)
            .args(["--listen", "127.0.0.1:0", "--store"])
            .arg(store)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let stdout = process.stdout.take().expect("stdout is piped");
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        Self { process: Process(process), said }
    }

    pub(crate) fn listening(self) -> Replica {
        let line = self.said.recv_timeout(DEADLINE).expect("the service says where it listens");
        Replica { process: self.process, address: bound(&line), agent: agent() }
    }
}

/// A whole answer. Every body of the services is JSON.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replica: String,
    pub(crate) body: Value,
}

impl Answer {
    fn of(answer: Result<Response<Body>, ureq::Error>) -> Self {
        let mut answer = answer.expect("the replica answers");
        let replica = answer.headers().get("x-replica").expect("every answer names its replica");
        Self {
            status: answer.status().as_u16(),
            replica: replica.to_str().expect("the name is text").to_owned(),
            body: answer.body_mut().read_json().expect("the body is JSON"),
        }
    }

    /// Asserts the status and the error shape: two strings, `error` and `detail`, and nothing else.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(error)), "{self:?}");
        assert!(self.body["detail"].is_string(), "{self:?}");
        assert_eq!(self.body.as_object().map(serde_json::Map::len), Some(2), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }
}

/// Asks again and again until there is something, or the deadline is over.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Some(found) => return found,
            None => assert!(start.elapsed() < DEADLINE, "waited in vain until {what}"),
        }
        thread::yield_now();
    }
}

fn bound(line: &str) -> String {
    line.strip_prefix("listening on ").expect("the first line names the address").to_owned()
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build().into()
}

/// Calls `request` with 0 to `times` - 1, each on a thread of its own, all let go at the same moment.
pub(crate) fn at_once<T: Send>(times: usize, request: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let gate = Barrier::new(times);
    let call = |n| {
        gate.wait();
        request(n)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..times)
            .map(|n| {
                scope.spawn({
                    let call = &call;
                    move || call(n)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("the request went well")).collect()
    })
}
