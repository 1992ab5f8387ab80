//! Money moves once per key, and never further back than it came.

use serde_json::{Value, json};

use crate::support::{Answer, Folder, PAYMENT, Replica, at_once};

fn start(folder: &Folder) -> Replica {
    Replica::start(PAYMENT, &folder.store(), &[])
}

fn charge(amount_cents: i64) -> Value {
    json!({ "order_id": 1, "amount_cents": amount_cents, "currency": "EUR" })
}

fn refund(replica: &Replica, payment: &Value, key: &str, amount_cents: i64) -> Answer {
    replica.post_keyed(&format!("/payments/{payment}/refund"), key, &json!({ "amount_cents": amount_cents }))
}

fn charged(replica: &Replica, key: &str, amount_cents: i64) -> Value {
    replica.post_keyed("/payments", key, &charge(amount_cents)).expect(201)["id"].clone()
}

#[test]
fn a_charge_can_be_read_back() {
    let folder = Folder::new();
    let replica = start(&folder);
    let payment = replica.post_keyed("/payments", "buy-1", &charge(2500)).expect(201);
    assert_eq!((&payment["amount_cents"], &payment["refunded_cents"]), (&json!(2500), &json!(0)));
    assert_eq!(replica.get(&format!("/payments/{}", payment["id"])).expect(200), payment);
}

#[test]
fn a_key_charges_once_even_when_sent_to_two_replicas_at_once() {
    let folder = Folder::new();
    let replicas = [start(&folder), start(&folder)];
    let answers = at_once(10, |n| replicas[n % 2].post_keyed("/payments", "buy-1", &charge(2500)));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 9, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
    replicas[0].get("/payments/2").assert_refused(404, "not_found");
}

#[test]
fn the_same_charge_in_another_spelling_is_the_same_charge() {
    let folder = Folder::new();
    let replica = start(&folder);
    replica.post_keyed("/payments", "buy-1", &charge(2500)).expect(201);
    let spelled = r#"{ "currency":"EUR",  "amount_cents":2500, "order_id":1 }"#;
    let spelled: Value = serde_json::from_str(spelled).expect("it is JSON");
    replica.post_keyed("/payments", "buy-1", &spelled).expect(200);
}

#[test]
fn a_key_with_another_charge_is_refused() {
    let folder = Folder::new();
    let replica = start(&folder);
    charged(&replica, "buy-1", 2500);
    replica.post_keyed("/payments", "buy-1", &charge(2501)).assert_refused(422, "idempotency_key_reused");
}

#[test]
fn a_charge_without_a_key_is_refused() {
    let folder = Folder::new();
    start(&folder).post("/payments", &charge(2500)).assert_refused(400, "idempotency_key_missing");
}

#[test]
fn refunds_never_exceed_the_charge_even_when_asked_of_two_replicas_at_once() {
    let folder = Folder::new();
    let replicas = [start(&folder), start(&folder)];
    let payment = charged(&replicas[0], "buy-1", 1000);
    let statuses = at_once(10, |n| refund(&replicas[n % 2], &payment, &format!("back-{n}"), 300).status);
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    refund(&replicas[0], &payment, "back-too-much", 101).assert_refused(409, "refund_exceeds_charge");
    refund(&replicas[1], &payment, "back-the-rest", 100).expect(201);
    assert_eq!(replicas[0].get(&format!("/payments/{payment}")).expect(200)["refunded_cents"], 1000);
}

#[test]
fn a_refund_key_refunds_once_and_refuses_another_refund() {
    let folder = Folder::new();
    let replica = start(&folder);
    let (payment, other) = (charged(&replica, "buy-1", 1000), charged(&replica, "buy-2", 1000));
    let first = refund(&replica, &payment, "back-1", 300).expect(201);
    assert_eq!(refund(&replica, &payment, "back-1", 300).expect(200), first);
    refund(&replica, &payment, "back-1", 400).assert_refused(422, "idempotency_key_reused");
    refund(&replica, &other, "back-1", 300).assert_refused(422, "idempotency_key_reused");
    assert_eq!(replica.get(&format!("/payments/{payment}")).expect(200)["refunded_cents"], 300);
    assert_eq!(replica.get(&format!("/payments/{other}")).expect(200)["refunded_cents"], 0);
}

#[test]
fn nonsense_is_refused_in_the_error_shape() {
    let folder = Folder::new();
    let replica = start(&folder);
    let lowercase = json!({ "order_id": 1, "amount_cents": 1, "currency": "eur" });
    let with_more = json!({ "order_id": 1, "amount_cents": 1, "currency": "EUR", "amount": 1 });
    for body in [charge(0), charge(-1), lowercase, with_more, json!([])] {
        replica.post_keyed("/payments", "buy-1", &body).assert_refused(422, "invalid");
    }
    replica.post_keyed("/payments", &"k".repeat(129), &charge(1)).assert_refused(400, "malformed");
    refund(&replica, &json!(999), "back-1", 1).assert_refused(404, "not_found");
    replica.get("/payments/999").assert_refused(404, "not_found");
}
