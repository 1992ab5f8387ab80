//! The most common client library there is, as a client of the proxy.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `openssl s_client` saw.
#[derive(Debug)]
pub struct Openssl {
    /// Everything it printed.
    pub text: String,
    /// Whether it got through the handshake and had its answer.
    pub done: bool,
}

impl Openssl {
    /// Whether a line of what it printed begins with `start`, leading spaces aside.
    pub fn says(&self, start: &str) -> bool {
        self.text.lines().any(|line| line.trim_start().starts_with(start))
    }
}

/// Shakes hands, asks for `/`, and waits for the end of the answer. The server's certificate has to be one of `ca`.
pub fn shake_hands(address: SocketAddr, ca: &Path, arguments: &[&str]) -> Openssl {
    say(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n", address, ca, arguments)
}

/// The same, with something else to say.
pub fn say(what: &[u8], address: SocketAddr, ca: &Path, arguments: &[&str]) -> Openssl {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-verify_return_error", "-ign_eof", "-connect", &address.to_string()]);
    let named = arguments.iter().any(|argument| ["-servername", "-noservername"].contains(argument));
    command.args(if named { &[][..] } else { &["-servername", "shop.example"] });
    let command = command.arg("-CAfile").arg(ca).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run openssl");
    let mut input = child.stdin.take().expect("stdin is piped");
    // An error means that the handshake has failed already.
    drop(input.write_all(what));
    let output = child.wait_with_output().expect("openssl ends");
    drop(input);
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let done = output.status.success() && text.contains("HTTP/1.1 200 OK");
    Openssl { text, done }
}
