//! Stock is taken once, given back once, and never sold twice.

use serde_json::{Value, json};

use crate::support::{Answer, Folder, ORDER, Replica, Starting};

const CUP: i64 = 1;
const GRINDER: i64 = 3;
const POSTER: i64 = 4;

fn start(folder: &Folder) -> Replica {
    Replica::start(ORDER, &folder.store(), &[])
}

fn of(product_id: i64, quantity: i64) -> Value {
    json!({ "items": [{ "product_id": product_id, "quantity": quantity }] })
}

fn stock(replica: &Replica, product_id: i64) -> i64 {
    replica.get(&format!("/products/{product_id}")).expect(200)["stock"].as_i64().expect("stock is a number")
}

#[test]
fn placing_an_order_takes_stock_and_can_be_read_back() {
    let folder = Folder::new();
    let replica = start(&folder);
    let before = stock(&replica, CUP);
    let order = replica.post("/orders", &of(CUP, 3)).expect(201);
    assert_eq!(order["state"], "placed");
    assert_eq!(order["total_cents"], 3 * 1250);
    assert_eq!(order["items"], json!([{ "product_id": CUP, "quantity": 3, "price_cents": 1250 }]));
    assert_eq!(stock(&replica, CUP), before - 3);
    assert_eq!(replica.get(&format!("/orders/{}", order["id"])).expect(200), order);
}

#[test]
fn an_order_that_is_short_of_one_product_takes_no_stock_of_another() {
    let folder = Folder::new();
    let replica = start(&folder);
    let before = stock(&replica, CUP);
    let order =
        json!({ "items": [{ "product_id": CUP, "quantity": 1 }, { "product_id": POSTER, "quantity": 6 }] });
    replica.post("/orders", &order).assert_refused(409, "out_of_stock");
    assert_eq!(stock(&replica, CUP), before);
    assert_eq!(replica.get("/orders").expect(200)["orders"], json!([]));
}

#[test]
fn two_replicas_never_sell_an_item_twice() {
    let folder = Folder::new();
    let replicas = [start(&folder), start(&folder)];
    let available = stock(&replicas[0], GRINDER);
    let statuses = from_both(&replicas, 20, |replica, _| replica.post("/orders", &of(GRINDER, 1)).status);
    let sold =
        i64::try_from(statuses.iter().filter(|status| **status == 201).count()).expect("a small number");
    assert_eq!(sold, available);
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert!(replicas.iter().all(|replica| stock(replica, GRINDER) == 0));
}

#[test]
fn cancelling_gives_the_stock_back_once_even_when_asked_of_two_replicas_at_once() {
    let folder = Folder::new();
    let replicas = [start(&folder), start(&folder)];
    let before = stock(&replicas[0], POSTER);
    let id = replicas[0].post("/orders", &of(POSTER, 2)).expect(201)["id"].clone();
    let cancel = |replica: &Replica, _| replica.post(&format!("/orders/{id}/cancel"), &json!({})).expect(200);
    let answers = from_both(&replicas, 5, cancel);
    assert!(answers.iter().all(|order| order["state"] == "cancelled"), "{answers:?}");
    assert_eq!(stock(&replicas[1], POSTER), before);
}

#[test]
fn an_order_key_takes_effect_once_and_refuses_another_order() {
    let folder = Folder::new();
    let replicas = [start(&folder), start(&folder)];
    let before = stock(&replicas[0], CUP);
    let answers = from_both(&replicas, 5, |replica, _| replica.post_keyed("/orders", "cart-1", &of(CUP, 1)));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
    assert_eq!(stock(&replicas[0], CUP), before - 1);
    replicas[0].post_keyed("/orders", "cart-1", &of(CUP, 2)).assert_refused(422, "idempotency_key_reused");
}

#[test]
fn an_order_refused_for_stock_leaves_its_key_free() {
    let folder = Folder::new();
    let replica = start(&folder);
    replica.post_keyed("/orders", "cart-1", &of(POSTER, 6)).assert_refused(409, "out_of_stock");
    replica.post_keyed("/orders", "cart-1", &of(POSTER, 1)).expect(201);
}

#[test]
fn nonsense_is_refused_in_the_error_shape() {
    let folder = Folder::new();
    let replica = start(&folder);
    replica.post_text("/orders", "{").assert_refused(400, "malformed");
    replica.post("/orders", &of(CUP, 0)).assert_refused(422, "invalid");
    replica.post("/orders", &json!({ "items": [] })).assert_refused(422, "invalid");
    replica.post("/orders", &of(999, 1)).assert_refused(404, "not_found");
    replica.post_text("/orders", &" ".repeat(64 * 1024 + 1)).assert_refused(413, "too_large");
    replica.post_keyed("/orders", "", &of(CUP, 1)).assert_refused(400, "malformed");
    replica.get("/orders/999").assert_refused(404, "not_found");
    replica.get("/products/cup").assert_refused(404, "not_found");
    replica.get("/nowhere").assert_refused(404, "not_found");
    replica.get("/orders/1/cancel").assert_refused(405, "method_not_allowed");
}

#[test]
fn a_list_of_orders_is_bounded_and_goes_on_after_an_id() {
    let folder = Folder::new();
    let replica = start(&folder);
    let ids: Vec<Value> =
        (0..3).map(|_| replica.post("/orders", &of(CUP, 1)).expect(201)["id"].clone()).collect();
    let listed = |query: &str| -> Vec<Value> {
        let page = replica.get(&format!("/orders{query}")).expect(200);
        page["orders"].as_array().expect("a list").iter().map(|order| order["id"].clone()).collect()
    };
    assert_eq!(listed(""), ids);
    assert_eq!(listed("?limit=2"), ids[..2]);
    assert_eq!(listed(&format!("?limit=2&after={}", ids[1])), ids[2..]);
    for query in ["?limit=0", "?limit=201", "?limit=many", "?after=x"] {
        replica.get(&format!("/orders{query}")).assert_refused(400, "malformed");
    }
}

#[test]
fn replicas_started_together_on_a_new_store_seed_it_once() {
    // One round does not always meet the race.
    for _ in 0..4 {
        let folder = Folder::new();
        let starting: Vec<Starting> = (0..4).map(|_| Starting::spawn(ORDER, &folder.store(), &[])).collect();
        for replica in starting.into_iter().map(Starting::listening) {
            let products = replica.get("/products").expect(200);
            assert_eq!(products["products"].as_array().map(Vec::len), Some(5));
            assert_eq!(products["products"][0]["stock"], 1000);
        }
    }
}

/// `times` requests to each of two replicas, all at the same time.
fn from_both<T: Send>(
    replicas: &[Replica; 2],
    times: usize,
    request: impl Fn(&Replica, usize) -> T + Sync,
) -> Vec<T> {
    crate::support::at_once(2 * times, |n| request(&replicas[n % 2], n))
}

#[test]
fn every_answer_names_its_replica() {
    let folder = Folder::new();
    let named = Replica::start(ORDER, &folder.store(), &["--name", "left"]);
    let unnamed = start(&folder);
    let Answer { replica: port, .. } = unnamed.get("/nowhere");
    assert_eq!(named.get("/healthz").replica, "left");
    assert!(unnamed.address.ends_with(&format!(":{port}")), "{port}");
}
