//! Starting, stopping and starting again loses nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;

use crate::support::{Folder, ORDER, PAYMENT, Replica, until};

#[test]
fn sigterm_lets_a_running_request_finish() {
    let folder = Folder::new();
    let mut replica = Replica::start(ORDER, &folder.store(), &[]);
    let mut request = RunningOrder::begin(&replica.address);
    replica.terminate();
    until("no connection is accepted", || TcpStream::connect(&replica.address).err());
    assert!(request.finish().starts_with("HTTP/1.1 201 "));
    assert!(replica.wait().success());
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let folder = Folder::new();
    let mut replica = Replica::start(ORDER, &folder.store(), &[]);
    let _request = RunningOrder::begin(&replica.address);
    replica.terminate();
    until("no connection is accepted", || TcpStream::connect(&replica.address).err());
    replica.terminate();
    assert!(!replica.wait().success());
}

#[test]
fn a_restart_keeps_the_data_and_does_not_seed_again() {
    let folder = Folder::new();
    let mut first = Replica::start(ORDER, &folder.store(), &[]);
    let order = json!({ "items": [{ "product_id": 1, "quantity": 1 }] });
    let placed = first.post_keyed("/orders", "cart-1", &order).expect(201);
    first.terminate();
    assert!(first.wait().success());

    let second = Replica::start(ORDER, &folder.store(), &[]);
    assert_eq!(second.get(&format!("/orders/{}", placed["id"])).expect(200), placed);
    assert_eq!(second.post_keyed("/orders", "cart-1", &order).expect(200), placed);
    assert_eq!(second.get("/products/1").expect(200)["stock"], 999);
}

#[test]
fn what_was_answered_survives_a_kill() {
    let folder = Folder::new();
    let charge = json!({ "order_id": 1, "amount_cents": 2500, "currency": "EUR" });
    let first = Replica::start(PAYMENT, &folder.store(), &[]);
    let payment = first.post_keyed("/payments", "buy-1", &charge).expect(201);
    drop(first);
    let second = Replica::start(PAYMENT, &folder.store(), &[]);
    assert_eq!(second.post_keyed("/payments", "buy-1", &charge).expect(200), payment);
}

#[test]
fn a_memory_store_serves_one_replica() {
    let replica = Replica::start(ORDER, ":memory:".as_ref(), &[]);
    assert_eq!(replica.get("/healthz").status, 200);
    assert_eq!(replica.get("/products/1").expect(200)["stock"], 1000);
}

#[test]
fn the_store_of_another_service_is_refused() {
    let folder = Folder::new();
    let _order = Replica::start(ORDER, &folder.store(), &[]);
    let payment = Command::new(PAYMENT).arg("--store").arg(folder.store()).output().expect("it starts");
    assert!(!payment.status.success());
    assert!(String::from_utf8_lossy(&payment.stderr).contains("belongs to another service"));
}

/// An order whose body is still missing, and which the replica has begun to read.
struct RunningOrder {
    connection: TcpStream,
    answers: BufReader<TcpStream>,
}

const ORDER_BODY: &str = r#"{"items":[{"product_id":1,"quantity":1}]}"#;

impl RunningOrder {
    /// `100 Continue` is sent when the handler asks for the body: from then on the request is running for certain.
    fn begin(address: &str) -> Self {
        let mut connection = TcpStream::connect(address).expect("the replica accepts");
        write!(
            connection,
            "POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            ORDER_BODY.len()
        )
        .expect("the head is sent");
        let mut answers = BufReader::new(connection.try_clone().expect("a second handle"));
        let mut interim = String::new();
        answers.read_line(&mut interim).expect("an interim answer");
        assert_eq!(interim, "HTTP/1.1 100 Continue\r\n");
        answers.read_line(&mut interim).expect("the empty line after it");
        Self { connection, answers }
    }

    /// Sends the body, and reads until the replica closes.
    fn finish(&mut self) -> String {
        self.connection.write_all(ORDER_BODY.as_bytes()).expect("the body is sent");
        let mut answer = String::new();
        self.answers.read_to_string(&mut answer).expect("an answer");
        answer
    }
}
