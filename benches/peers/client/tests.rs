//! The client counts what it did: no more and no less than the services saw.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::timeout;

use super::tally::{Caller, drive};
use super::{Outcome, grpc, handshake, idle, websocket};

#[path = "../server/echo.rs"]
mod echo;
#[path = "tests/site.rs"]
mod site;
#[path = "../server/unary.rs"]
mod unary;

use site::Site;

const TIME: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn every_message_of_a_websocket_is_counted_once() {
    run(async {
        let (listener, seen, count) = service().await?;
        let to = listener.local_addr()?;
        spawn_local(async move { echo::serve(&listener, count).await });
        let tally = drive(websocket::sockets(to, 3, 100).await?, TIME).await?;
        assert!(tally.requests() >= 3);
        assert_eq!(tally.requests(), seen.get());
        Ok(())
    });
}

#[test]
fn every_call_by_grpc_is_counted_once() {
    run(async {
        let (listener, seen, count) = service().await?;
        let to = listener.local_addr()?;
        spawn_local(async move { unary::serve(&listener, count).await });
        let tally = drive(grpc::callers(to, 2, 2, 100).await?, TIME).await?;
        assert!(tally.requests() >= 4);
        assert_eq!(tally.requests(), seen.get());
        Ok(())
    });
}

#[test]
fn full_and_resumed_handshakes_are_told_apart() {
    for resume in [false, true] {
        run(async {
            let site = Site::open().await?;
            let (to, ca) = (site.listener.local_addr()?, site.ca.path().to_owned());
            let (full, resumed) = (Rc::clone(&site.full), Rc::clone(&site.resumed));
            spawn_local(site.serve());
            let visitors = handshake::visitors(to, 2, &ca, resume).await?;
            let first = full.get();
            let tally = drive(visitors, TIME).await?;
            let (full, resumed) = (full.get() - first, resumed.get());
            assert!(tally.requests() >= 2);
            assert_eq!((full, resumed), if resume { (0, tally.requests()) } else { (tally.requests(), 0) });
            Ok(())
        });
    }
}

#[test]
fn a_site_that_does_not_resume_ends_the_run() {
    run(async {
        let mut site = Site::open().await?;
        site.tickets = 0;
        let (to, ca) = (site.listener.local_addr()?, site.ca.path().to_owned());
        spawn_local(site.serve());
        let visitors = handshake::visitors(to, 2, &ca, true).await?;
        assert!(drive(visitors, TIME).await.is_err());
        Ok(())
    });
}

#[test]
fn a_connection_closed_while_it_is_idle_is_noticed() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let to = listener.local_addr()?;
        spawn_local(async move { answer_and_keep_two(&listener).await });
        let mut open = idle::open(to, 3, None).await?;
        timeout(DEADLINE, async {
            while idle::closed(&mut open).await == 0 {
                yield_now().await;
            }
        })
        .await?;
        assert_eq!(idle::closed(&mut open).await, 1);
        Ok(())
    });
}

async fn answer_and_keep_two(listener: &TcpListener) -> Outcome<()> {
    let mut kept = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let _request = stream.read(&mut [0; 1024]).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        if kept.len() < 2 {
            kept.push(stream);
        }
    }
}

#[test]
fn one_wrong_answer_ends_the_run() {
    struct Refused;
    impl Caller for Refused {
        async fn call(&mut self) -> Outcome<()> {
            Err("refused".into())
        }
    }
    run(async {
        assert!(drive(vec![Refused], TIME).await.is_err());
        Ok(())
    });
}

/// A listener, what was counted so far, and what counts.
async fn service() -> Outcome<(TcpListener, Rc<Cell<u64>>, impl Fn() + Clone + 'static)> {
    let seen = Rc::new(Cell::new(0));
    let counted = Rc::clone(&seen);
    Ok((TcpListener::bind("127.0.0.1:0").await?, seen, move || counted.set(counted.get() + 1)))
}

fn run(test: impl Future<Output = Outcome<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test).expect("everything is answered");
}
