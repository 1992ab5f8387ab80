//! An endpoint process in the hands of a test.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use super::server::{self, Mode};
use crate::support::{DEADLINE, eventually};

/// One address, the process that listens there, and what it has received. Killed on drop.
pub struct Endpoint {
    address: SocketAddr,
    journal: PathBuf,
    seed: u64,
    child: Child,
    /// Bound and never listening: nobody else gets the address while the process is gone.
    _held: Socket,
}

impl Endpoint {
    /// Starts one with a journal in `directory`, and waits until it listens.
    pub fn start(directory: &Path, seed: u64) -> Self {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        held.set_reuse_address(true).expect("reuse");
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
        let address = held.local_addr().expect("an address").as_socket().expect("an internet address");
        let journal = directory.join(address.port().to_string());
        let child = spawn(address, &journal, seed);
        Self { address, journal, seed, child, _held: held }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it answers from now on.
    pub fn becomes(&mut self, mode: Mode) {
        let input = self.child.stdin.as_mut().expect("standard input is piped");
        writeln!(input, "{mode:?}").expect("the process listens to its standard input");
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts it again on its address, after [`kill`](Self::kill).
    pub fn revive(&mut self) {
        self.child = spawn(self.address, &self.journal, self.seed);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("kill");
    }

    /// The requests it has received, in order, as in `POST /7`.
    pub fn received(&self) -> Vec<String> {
        let journal = fs::read_to_string(&self.journal).unwrap_or_default();
        journal.lines().map(str::to_owned).collect()
    }
}

/// How often each request was received by anyone.
pub fn tally(endpoints: &[Endpoint]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for request in endpoints.iter().flat_map(Endpoint::received) {
        *tally.entry(request).or_default() += 1;
    }
    tally
}

fn spawn(address: SocketAddr, journal: &Path, seed: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "faults::server::endpoint_process", "--nocapture"]);
    command.env(server::ADDRESS, address.to_string()).env(server::JOURNAL, journal);
    command.env(server::SEED, seed.to_string());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("run the endpoint");
    eventually("the endpoint to listen", || TcpStream::connect_timeout(&address, DEADLINE).ok());
    child
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.kill();
    }
}
