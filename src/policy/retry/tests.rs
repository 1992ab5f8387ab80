use std::time::UNIX_EPOCH;

use super::*;

fn policy(on: &[Condition]) -> Retry {
    Retry { on: on.iter().copied().collect(), ..Retry::default() }
}

const GET: Repeatable = Repeatable { idempotent: true, kept: true, again: 0, left: None };
const POST: Repeatable = Repeatable { idempotent: false, kept: true, again: 0, left: None };

fn trouble(condition: Condition, sent: Sent) -> Trouble {
    Trouble { condition: Some(condition), sent, stale: false, retry_after: None }
}

fn decided(policy: &Retry, request: Repeatable, trouble: Trouble) -> Decision {
    decide(policy, request, trouble, &mut fastrand::Rng::with_seed(1))
}

const AT_ONCE: Decision = Decision::Again { wait: Duration::ZERO, same: false };

#[test]
fn what_was_not_written_goes_again_and_what_may_have_been_only_if_idempotent_and_at_hand() {
    use Sent::{Maybe, None, Yes};
    let all = policy(&Condition::ALL);
    let put_half_read = Repeatable { kept: false, ..GET };
    for condition in Condition::ALL {
        for (request, sent, again) in [
            (GET, None, true),
            (GET, Maybe, true),
            (GET, Yes, true),
            (put_half_read, None, true),
            (put_half_read, Maybe, false),
            (put_half_read, Yes, false),
            (POST, None, true),
            (POST, Maybe, false),
            (POST, Yes, false),
        ] {
            let expected = if again { AT_ONCE } else { Decision::PassOn };
            assert_eq!(decided(&all, request, trouble(condition, sent)), expected, "{condition:?} {sent:?}");
        }
    }
}

#[test]
fn only_what_is_asked_for_is_retried() {
    for asked in Condition::ALL {
        for condition in Condition::ALL {
            let expected = if condition == asked { AT_ONCE } else { Decision::PassOn };
            assert_eq!(decided(&policy(&[asked]), GET, trouble(condition, Sent::None)), expected);
        }
    }
    let unknown = Trouble { condition: None, ..trouble(Condition::Reset, Sent::None) };
    assert_eq!(decided(&policy(&Condition::ALL), GET, unknown), Decision::PassOn);
}

#[test]
fn attempts_are_how_often_it_goes_out_again() {
    let reset = trouble(Condition::Reset, Sent::Maybe);
    for attempts in 1..=5 {
        let policy = Retry { attempts, ..policy(&[Condition::Reset]) };
        let goes = |again: u8| decided(&policy, Repeatable { again, ..GET }, reset) != Decision::PassOn;
        assert!((0..attempts).all(goes) && !goes(attempts) && !goes(attempts + 1));
    }
}

#[test]
fn the_second_time_and_those_after_wait_at_random_below_a_bound_that_doubles() {
    let backoff = Backoff { base: Duration::from_millis(20), max: Duration::from_millis(70) };
    let mut rng = fastrand::Rng::with_seed(3);
    assert_eq!(pause(backoff, 0, &mut rng), Duration::ZERO);
    for (again, bound) in [(1, 20), (2, 40), (3, 70), (4, 70), (255, 70)] {
        let waits: Vec<Duration> = (0..1000).map(|_| pause(backoff, again, &mut rng)).collect();
        let bound = Duration::from_millis(bound);
        assert!(waits.iter().all(|wait| *wait < bound));
        assert!(
            waits.iter().any(|wait| *wait < bound / 10) && waits.iter().any(|wait| *wait > bound * 9 / 10)
        );
    }
}

#[test]
fn nothing_waits_beyond_what_is_left_for_the_request_or_a_second() {
    let on = policy(&[Condition::Unavailable]);
    let asks = |after| Trouble { retry_after: Some(after), ..trouble(Condition::Unavailable, Sent::Yes) };
    let (half, second) = (Duration::from_millis(500), Duration::from_secs(1));
    let again = |wait| Decision::Again { wait, same: true };
    assert_eq!(decided(&on, GET, asks(second)), again(second));
    assert_eq!(decided(&on, GET, asks(second + Duration::from_millis(1))), Decision::PassOn);
    assert_eq!(decided(&on, GET, asks(Duration::ZERO)), again(Duration::ZERO));
    let until = |left| Repeatable { left: Some(left), ..GET };
    assert_eq!(decided(&on, until(second), asks(half)), again(half));
    assert_eq!(decided(&on, until(half), asks(half)), Decision::PassOn);
    let refused = trouble(Condition::Unavailable, Sent::Yes);
    assert_eq!(decided(&on, until(Duration::ZERO), refused), Decision::PassOn);
}

#[test]
fn a_connection_that_lay_unused_may_be_replaced_by_one_to_the_same_endpoint() {
    let stale = Trouble { stale: true, ..trouble(Condition::Reset, Sent::Maybe) };
    let on = policy(&[Condition::Reset]);
    assert_eq!(decided(&on, GET, stale), Decision::Again { wait: Duration::ZERO, same: true });
    assert_eq!(decided(&on, POST, stale), Decision::PassOn);
}

#[test]
fn a_reset_before_the_first_byte_is_a_connection_that_failed() {
    let table = [
        (Reason::ConnectFailed, Sent::None, Some(Condition::ConnectFailure)),
        (Reason::ConnectTimeout, Sent::None, Some(Condition::ConnectFailure)),
        (Reason::Reset, Sent::None, Some(Condition::ConnectFailure)),
        (Reason::Reset, Sent::Maybe, Some(Condition::Reset)),
        (Reason::ResponseTimeout, Sent::Maybe, Some(Condition::Timeout)),
        (Reason::PerTryTimeout, Sent::Maybe, Some(Condition::Timeout)),
        (Reason::RequestTimeout, Sent::Maybe, None),
        (Reason::BadResponse, Sent::Yes, Some(Condition::Reset)),
        (Reason::BodyIncomplete, Sent::Maybe, None),
        (Reason::BodyTimeout, Sent::Maybe, None),
        (Reason::BodyTooSlow, Sent::Maybe, None),
        (Reason::BodyTooLarge, Sent::Maybe, None),
        (Reason::NoEndpoint, Sent::None, None),
        (Reason::OutOfSockets, Sent::None, None),
    ];
    for (reason, sent, condition) in table {
        assert_eq!(condition_of(reason, sent), condition, "{reason:?} {sent:?}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_on_429_and_503() {
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let read = |status: u16, text: &'static str| {
        let status = StatusCode::from_u16(status).expect("a status");
        retry_after(status, Some(&HeaderValue::from_static(text)), now)
    };
    assert_eq!(read(503, "120"), Some(Duration::from_secs(120)));
    assert_eq!(read(429, " 0 "), Some(Duration::ZERO));
    assert_eq!(read(503, "Sun, 06 Nov 1994 08:49:39 GMT"), Some(Duration::from_secs(2)));
    assert_eq!(read(503, "Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
    for text in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
        assert_eq!(read(503, text), None, "{text}");
    }
    assert_eq!(read(502, "1"), None);
    assert_eq!(retry_after(StatusCode::SERVICE_UNAVAILABLE, None, now), None);
}

#[test]
fn those_tried_are_remembered_and_never_more_than_there_is_room_for() {
    let mut tried = Tried::default();
    assert!(!tried.contains(0) && tried.last().is_none());
    for index in [3, 0, 7, 1, 4, 9] {
        tried.add(index);
        assert!(tried.contains(index) && tried.last() == Some(index));
    }
    assert!([3, 0, 7, 1, 4, 9].into_iter().all(|index| tried.contains(index)) && !tried.contains(2));
    tried.add(12);
    assert!(tried.contains(12) && tried.contains(3));
}

#[test]
fn every_status_that_can_be_asked_for_is_found_again() {
    for condition in Condition::ALL {
        if let Some(status) = condition.status() {
            assert_eq!(Condition::of_status(status), Some(condition));
            assert_eq!(condition.name(), status.as_str());
        }
    }
    assert_eq!(Condition::of_status(StatusCode::OK), None);
}
