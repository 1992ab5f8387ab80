//! A stream that is compressed is still a stream.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::{ALL, asking, before, decoder};
use crate::support::{Client, DEADLINE, Message, Origin, Visit};

/// The chunks of a body as they come, without their framing.
struct Chunks {
    client: Client,
    read: Vec<u8>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read.is_empty() {
            let Some(chunk) = self.client.chunk() else { return Ok(0) };
            self.read = chunk;
        }
        let count = self.read.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.read[..count]);
        self.read.drain(..count);
        Ok(count)
    }
}

/// Sends an event each time it is told to.
fn told(kind: &'static str) -> (Origin, Sender<String>) {
    let (say, says) = channel::<String>();
    let says = Mutex::new(says);
    let origin = Origin::start(move |visit| {
        let says = says.lock().expect("events");
        if visit.request().is_some() {
            visit.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
            ));
            tell(visit, &says);
        }
    });
    (origin, say)
}

fn tell(visit: &mut Visit, says: &Receiver<String>) {
    while let Ok(event) = says.recv_timeout(DEADLINE) {
        let chunk = match event.is_empty() {
            true => "0\r\n\r\n".to_owned(),
            false => format!("{:x}\r\n{event}\r\n", event.len()),
        };
        if !visit.send(&chunk) || event.is_empty() {
            return;
        }
    }
}

#[test]
fn each_event_can_be_read_before_the_next_is_sent() {
    for coding in ALL {
        for kind in ["application/x-ndjson", "text/event-stream"] {
            let (origin, say) = told(kind);
            let proxy = before(&origin, "{ types: [application/x-ndjson, text/event-stream] }");
            let mut client = proxy.client();
            let head = client.send(asking(coding)).head();
            assert_eq!(head.header("content-encoding"), Some(coding));
            say.send("first\n".into()).expect("the origin listens");
            let mut read = decoder(coding, Chunks { client, read: Vec::new() });
            let mut event = [0; 6];
            read.read_exact(&mut event).expect("an event");
            assert_eq!(&event, b"first\n", "{coding}");
            for number in 0..5 {
                say.send(format!("next {number}")).expect("the origin listens");
                read.read_exact(&mut event).expect("an event");
                assert_eq!(event, format!("next {number}").as_bytes()[..6], "{coding}");
            }
        }
    }
}

#[test]
fn trailers_arrive_behind_what_is_compressed_and_those_of_another_body_do_not() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntrailer: x-sum, digest\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nx-sum: 42\r\ndigest: y\r\n\r\n",
    );
    let proxy = before(&origin, "{ min_size: 0 }");
    let request = asking("gzip").replace("\r\n\r\n", "\r\nte: trailers\r\nconnection: te\r\n\r\n");
    let answer = proxy.exchange(request);
    assert_eq!(
        (super::decoded(&answer).as_str(), &answer.trailers),
        ("hello", &vec!["x-sum: 42".to_owned()])
    );
}

/// Bytes that no algorithm makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

#[test]
fn a_client_that_does_not_read_holds_the_endpoint_back() {
    let wrote = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&wrote);
    let (stuck, is_stuck) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 104857600\r\n\r\n");
        let noise = noise(1 << 20);
        visit.stream.set_write_timeout(Some(std::time::Duration::from_secs(1))).expect("a timeout");
        while visit.stream.write_all(&noise).is_ok() && count.fetch_add(1, Ordering::SeqCst) < 100 {}
        let _ = stuck.send(());
    });
    let proxy = before(&origin, "on");
    let mut client = proxy.client();
    client.send(asking("gzip"));
    is_stuck.recv_timeout(DEADLINE).expect("the endpoint is held back");
    let mebibytes = wrote.load(Ordering::SeqCst);
    assert!(mebibytes < 50, "{mebibytes} MiB were read ahead");
}

#[test]
fn a_client_that_leaves_ends_the_request_at_the_endpoint() {
    let (gone, is_gone) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
        );
        let _ = gone.send(visit.closes());
    });
    let proxy = before(&origin, "on");
    let mut client = proxy.client();
    let head: Message = client.send(asking("zstd")).head();
    assert_eq!(head.header("content-encoding"), Some("zstd"));
    drop(client);
    assert!(is_gone.recv_timeout(DEADLINE).expect("the endpoint's connection ends"));
    proxy.metrics_when(|metrics| metrics.sum("tillgate_compression_in_flight", &[]) == 0.0);
}
