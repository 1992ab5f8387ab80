//! The proxy as a process, for what only a process can show.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::DEADLINE;

/// A running `tillgate`, killed on drop.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Runs `tillgate` with `arguments` to its end.
    pub fn output(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tillgate")).args(arguments).output().expect("run tillgate")
    }

    /// Starts `tillgate run` on a config file.
    pub fn run(config: &Path) -> Self {
        let config = config.to_str().expect("a path in UTF-8");
        Self::start(&["run", "--log-format", "json", "--config", config])
    }

    /// Starts `tillgate run` on a config file, with its standard output in `output`.
    pub fn run_writing(config: &Path, output: &Path) -> Self {
        let config = config.to_str().expect("a path in UTF-8");
        let output = File::create(output).expect("create");
        Self::spawn(&["run", "--log-format", "json", "--config", config], output.into())
    }

    /// Starts `tillgate` with `arguments`; `--log-format json` should be among them.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(arguments, Stdio::null())
    }

    /// Starts `tillgate run` on a config file, after `limits` of the shell, as in `ulimit -n 100`.
    pub fn run_within(limits: &str, config: &Path) -> Self {
        let script = format!("{limits} && exec \"$0\" run --log-format json --config \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_tillgate")]).arg(config);
        Self::of(command, Stdio::null())
    }

    fn spawn(arguments: &[&str], output: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.args(arguments);
        Self::of(command, output)
    }

    fn of(mut command: Command, output: Stdio) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(output).spawn().expect("run tillgate");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for a line of the process log that has `message`.
    pub fn wait_for_log(&self, message: &str) -> serde_json::Value {
        loop {
            let line =
                self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no log line with {message:?}"));
            if line.contains(message) {
                return serde_json::from_str(&line).expect("a JSON log line");
            }
        }
    }

    /// Waits until it serves, and returns the addresses of its one listener and of its admin server.
    pub fn wait_until_listening(&self) -> (SocketAddr, SocketAddr) {
        let address = |line: serde_json::Value| line["address"].as_str()?.parse().ok();
        let listener = address(self.wait_for_log("\"message\":\"listening\""));
        let admin = address(self.wait_for_log("\"message\":\"admin\""));
        (listener.expect("a listener's address"), admin.expect("an admin address"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("kill");
    }

    /// From now on it may have so many descriptors open; what is open stays. What it might until then.
    pub fn limit_descriptors(&self, most: Option<u64>) -> Option<u64> {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
        // The hard limit is inherited.
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: most, maximum };
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("prlimit").current
    }

    /// How many descriptors it may have open: the soft limit, and the hard one.
    pub fn descriptor_limits(&self) -> [u64; 2] {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.id())).expect("its limits");
        let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("that limit");
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
        [(); 2].map(|()| numbers.next().expect("a number"))
    }

    fn pid(&self) -> rustix::process::Pid {
        let id = i32::try_from(self.child.id()).expect("a process id");
        rustix::process::Pid::from_raw(id).expect("a process id")
    }

    /// Stops it with SIGSTOP, and waits until every thread of it stands still.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
        super::eventually("all threads to stand still", || all_stopped(self.id()).then_some(()));
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens; to be asked once, before later lines of the log are waited for.
    pub fn web(&self) -> SocketAddr {
        let line = self.wait_for_log("\"listening\"");
        line["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// The most memory it has held so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it holds, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// A size in its status, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line of that name");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("its descriptors").count()
    }

    /// Waits for its end and returns its exit code.
    pub fn exit_code(mut self) -> Option<i32> {
        super::eventually("the end of the process", || self.child.try_wait().expect("wait")).code()
    }
}

/// Whether each thread of a process is in state `T`.
fn all_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // After the name, which is in parentheses.
        status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
