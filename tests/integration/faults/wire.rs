//! What a client of these tests reads: one answer, wherever it ends.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// An answer, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `x-tillgate-reason`: who answered, and why.
    pub reason: Option<String>,
    /// `x-tillgate-upstream-sent`.
    pub sent: Option<String>,
    pub body: String,
    /// The connection ended before the body did.
    pub cut: bool,
    /// No other request may follow.
    pub closes: bool,
}

/// Reads one answer. `None` if the connection ends before its head does.
pub async fn read_answer(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Answer> {
    let head = read_head(stream).await?;
    let value = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| *found == name).map(|(_, value)| value.trim().to_owned()).next()
    };
    let length = value("content-length").and_then(|length| length.parse().ok()).expect("a length");
    let mut body = String::new();
    let read = stream.take(length).read_to_string(&mut body).await.unwrap_or(0);
    Some(Answer {
        status: status(&head),
        reason: value("x-tillgate-reason"),
        sent: value("x-tillgate-upstream-sent"),
        cut: (read as u64) < length,
        closes: value("connection").is_some_and(|value| value == "close"),
        body,
    })
}

/// Reads one head, of an interim response too.
pub async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head.to_ascii_lowercase())
}

/// The status of a head.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no status in {head}"))
}
