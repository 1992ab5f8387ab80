//! Bodies of a gibibyte pass in flat memory, and whoever reads slowly holds back whoever writes.

use std::io::{self, BufWriter, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::POST;
use crate::support::{Client, Origin, Program, Proxy, Visit, Yaml, ok_with};

const GIB: u64 = 1 << 30;
/// How much more memory than at rest the proxy may have had at its worst, whatever the size of a body.
const FLAT: u64 = 64 << 20;

/// The proxy as a process of its own, so that its memory is nobody else's.
fn program_before(origin: &Origin) -> (Program, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, Yaml::before(&[origin]).to_string()).expect("write the config");
    (Program::run(&path), directory)
}

/// Writes that many zeros in small pieces.
fn write_zeros(stream: &mut TcpStream, count: u64) -> io::Result<u64> {
    io::copy(&mut io::repeat(0).take(count), &mut BufWriter::with_capacity(1 << 16, stream))
}

/// Reads and drops that many bytes.
fn drop_bytes(stream: &mut impl Read, count: u64) -> u64 {
    let mut read = 0;
    let mut piece = vec![0; 1 << 16];
    while read < count {
        let most = usize::try_from((count - read).min(1 << 16)).expect("small");
        match stream.read(&mut piece[..most]) {
            Ok(0) | Err(_) => break,
            Ok(got) => read += got as u64,
        }
    }
    read
}

#[test]
fn a_gibibyte_is_uploaded_in_flat_memory() {
    let origin = Origin::start(|visit: &mut Visit| {
        visit.request_head();
        let read = drop_bytes(&mut visit.reader, GIB);
        visit.send(ok_with(&read.to_string()));
    });
    let (program, _directory) = program_before(&origin);
    let mut client = Client::connect(program.web());
    let before = program.peak_memory();
    client.send(format!("{POST}content-length: {GIB}\r\n\r\n"));
    write_zeros(&mut client.stream().try_clone().expect("clone"), GIB).expect("upload");
    assert_eq!(client.response().text(), GIB.to_string());
    let grown = program.peak_memory() - before;
    assert!(grown < FLAT, "{} MiB more", grown >> 20);
}

#[test]
fn a_gibibyte_is_downloaded_in_flat_memory() {
    let origin = Origin::start(|visit: &mut Visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
        write_zeros(&mut visit.stream, GIB).expect("download");
    });
    let (program, _directory) = program_before(&origin);
    let mut client = Client::connect(program.web());
    let before = program.peak_memory();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(client.drop_body(), GIB);
    let grown = program.peak_memory() - before;
    assert!(grown < FLAT, "{} MiB more", grown >> 20);
}

#[test]
fn a_client_that_reads_slowly_holds_back_its_origin() {
    const STALL: Duration = Duration::from_millis(500);
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    let origin = Origin::start(move |visit: &mut Visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
        visit.stream.set_write_timeout(Some(STALL)).expect("timeout");
        while let Ok(wrote @ 1..) = visit.stream.write(&[0; 1 << 16]) {
            count.fetch_add(wrote as u64, Ordering::SeqCst);
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    origin.wait_for_ends(1);
    // The sockets' own buffers are some megabytes each.
    assert!(written.load(Ordering::SeqCst) < FLAT, "{} MiB", written.load(Ordering::SeqCst) >> 20);
}

#[test]
fn an_origin_that_reads_slowly_holds_back_its_client() {
    const STALL: Duration = Duration::from_millis(500);
    let (test_over, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::start(move |visit: &mut Visit| {
        visit.request_head();
        let _ = wait.lock().expect("lock").recv();
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: {GIB}\r\n\r\n"));
    let mut stream = client.stream();
    stream.set_write_timeout(Some(STALL)).expect("timeout");
    let mut written = 0;
    while let Ok(wrote @ 1..) = stream.write(&[0; 1 << 16]) {
        written += wrote as u64;
    }
    assert!(written < FLAT, "{} MiB", written >> 20);
    drop(test_over);
}
