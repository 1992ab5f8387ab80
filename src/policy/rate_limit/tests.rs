use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::{Per, Rate, RateKey};

const SECOND: Duration = Duration::from_secs(1);

fn limit(count: u32, per: Per, burst: u32) -> Limit {
    limit_for(count, per, burst, RateLimit::MAX_KEYS, Instant::now())
}

fn limit_for(count: u32, per: Per, burst: u32, max_keys: u32, born: Instant) -> Limit {
    let number = |number: u32| NonZeroU32::new(number).expect("not zero");
    let rate = Rate { count: number(count), per };
    let config = RateLimit { key: RateKey::ClientIp, rate, burst: number(burst), max_keys };
    Limit::new(config, RandomState::new(), born)
}

fn passed(limit: &Limit, key: Key<'_>, now: Instant, asked: u32) -> u32 {
    let passes = (0..asked).filter(|_| limit.take(key, HERE, now).wait.is_none());
    passes.count().try_into().expect("few")
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANN: Key<'_> = Key::Value(b"ann");
const BOB: Key<'_> = Key::Value(b"bob");

#[test]
fn a_burst_passes_at_once_and_then_one_an_interval() {
    let limit = limit(10, Per::Second, 5);
    let start = limit.born;
    assert_eq!(passed(&limit, ANN, start, 100), 5);
    assert_eq!(passed(&limit, ANN, start + SECOND / 10 - Duration::from_nanos(1), 100), 0);
    assert_eq!(passed(&limit, ANN, start + SECOND / 10, 100), 1);
    assert_eq!(passed(&limit, ANN, start + SECOND / 2, 100), 4);
    assert_eq!(passed(&limit, ANN, start + SECOND * 3600, 100), 5, "an hour saves up no more");
}

#[test]
fn what_remains_how_long_to_wait_and_when_it_is_all_back_are_said() {
    let limit = limit(60, Per::Minute, 3);
    let start = limit.born;
    let standing = |remaining, reset, wait| Standing { remaining, reset, wait };
    assert_eq!(limit.peek(ANN, HERE, start), standing(3, Duration::ZERO, None));
    assert_eq!(limit.take(ANN, HERE, start), standing(2, SECOND, None));
    assert_eq!(limit.take(ANN, HERE, start), standing(1, SECOND * 2, None));
    assert_eq!(limit.take(ANN, HERE, start), standing(0, SECOND * 3, None));
    assert_eq!(limit.take(ANN, HERE, start), standing(0, SECOND * 3, Some(SECOND)));
    assert_eq!(limit.peek(ANN, HERE, start + SECOND / 2).wait, Some(SECOND / 2));
    assert_eq!(limit.peek(ANN, HERE, start + SECOND), standing(1, SECOND * 2, None));
    assert_eq!(limit.take(BOB, HERE, start), standing(2, SECOND, None));
}

#[test]
fn keys_that_are_quiet_again_are_not_in_use() {
    let limit = limit(1, Per::Second, 1);
    let start = limit.born;
    assert_eq!(limit.keys_in_use(start), 0);
    for last in 0..100 {
        limit.take(Key::client(Ipv4Addr::new(192, 0, 2, last).into()), HERE, start);
    }
    assert_eq!(limit.keys_in_use(start), 100);
    assert_eq!(limit.keys_in_use(start + SECOND), 0);
}

#[test]
fn the_addresses_of_one_ipv6_network_are_one_key_and_a_value_that_looks_like_an_address_is_another() {
    let of = |text: &str| Key::client(text.parse().expect("an address"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
    let limit = limit(1, Per::Hour, 1);
    assert_eq!(passed(&limit, of("192.0.2.1"), limit.born, 2), 1);
    assert_eq!(passed(&limit, Key::Value(b"192.0.2.1"), limit.born, 2), 1);
    assert_eq!(passed(&limit, Key::Value(&[192, 0, 2, 1]), limit.born, 2), 1);
}

#[test]
fn a_clock_that_jumps_back_lets_nobody_through() {
    let limit = limit_for(1, Per::Second, 2, 1024, Instant::now() + SECOND * 60);
    assert_eq!(passed(&limit, ANN, limit.born + SECOND * 5, 9), 2);
    assert_eq!(passed(&limit, ANN, limit.born - SECOND * 5, 9), 0);
    assert_eq!(passed(&limit, ANN, limit.born + SECOND * 7, 9), 2);
}

#[test]
fn the_largest_numbers_a_config_may_have_fit() {
    let limit = limit(1, Per::Hour, 1_000_000);
    let far = limit.born + SECOND * 86_400 * 365 * 10;
    assert_eq!(limit.take(ANN, HERE, far).remaining, 999_999);
    assert_eq!(passed(&limit, ANN, far, 1000), 1000);
    let standing = Standing { remaining: 998_999, reset: SECOND * 3600 * 1001, wait: None };
    assert_eq!(limit.peek(ANN, HERE, far), standing);
}

/// From every request on, over every stretch: no more than the burst and the rate.
#[test]
fn in_no_window_do_more_than_burst_and_rate_pass() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (count, burst) = (rng.u32(1..200), rng.u32(1..100));
        let limit = limit(count, Per::Second, burst);
        let (mut now, mut passed, pace) = (Duration::ZERO, Vec::new(), rng.u64(1..40_000));
        for _ in 0..500 {
            now += Duration::from_micros(rng.u64(0..pace));
            if limit.take(ANN, HERE, limit.born + now).wait.is_none() {
                passed.push(now);
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (many, to) in passed[first..].iter().enumerate() {
                let allowed = f64::from(burst) + f64::from(count) * (*to - *from).as_secs_f64();
                assert!(
                    (many + 1) as f64 <= allowed + 1e-6,
                    "{} in {:?}, seed {seed}",
                    many + 1,
                    *to - *from
                );
            }
        }
    }
}

/// A request that the limit has room for is never refused.
#[test]
fn who_stays_below_the_rate_is_never_refused() {
    let mut rng = fastrand::Rng::with_seed(7);
    let limit = limit(100, Per::Second, 1);
    let mut now = limit.born;
    for _ in 0..10_000 {
        now += SECOND / 100 + Duration::from_micros(rng.u64(0..3000));
        assert_eq!(limit.take(ANN, HERE, now).wait, None);
    }
}

#[test]
fn more_keys_than_there_is_room_for_get_around_nothing() {
    let limit = limit_for(1, Per::Hour, 3, 1024, Instant::now());
    let mut through = 0;
    for number in 0..20_000_u32 {
        through += passed(&limit, Key::Value(&number.to_le_bytes()), limit.born, 1);
    }
    // Room for 1024 is 256 sets of 7 keys, of which each may have three.
    assert!(through <= 256 * 7 * 3, "{through}");
    assert!(through >= 1024 * 3, "{through}");
    let later = limit.born + SECOND * 3600 * 3;
    assert_eq!(passed(&limit, ANN, later, 9), 3, "nobody is shut out for ever");
}

/// Made-up keys from one address, and then a new key from there and one from elsewhere.
#[test]
fn a_flood_of_keys_shuts_out_the_new_keys_of_its_own_address_only() {
    let by_header = RateLimit {
        key: RateKey::Header(http::HeaderName::from_static("x-api-key")),
        ..limit_for(10, Per::Hour, 10, 1024, Instant::now()).config
    };
    let limit = Limit::new(by_header, RandomState::new(), Instant::now());
    let from = |key: u64, client: IpAddr| limit.take(Key::Value(&key.to_le_bytes()), client, limit.born);
    let known = u64::MAX;
    assert_eq!(from(known, HERE).remaining, 9);
    let through = (0..100_000).filter(|number| from(*number, HERE).wait.is_none()).count();
    assert!(through <= 256 * 7 + 10, "{through}: a place each, and one burst of the address");
    assert!(limit.crowded() > 90_000);
    assert!(from(100_001, HERE).wait.is_some());
    for last in 1..=100 {
        let honest = IpAddr::from([192, 0, 2, last]);
        assert_eq!(from(200_000 + u64::from(last), honest).wait, None, "{last}");
    }
    assert_eq!(from(known, HERE).remaining, 8, "who has a place keeps it");
}

#[test]
fn nearly_all_of_as_many_keys_as_asked_for_have_a_number_of_their_own() {
    let limit = limit_for(1, Per::Hour, 1, 4096, Instant::now());
    let alone =
        (0..4096_u32).filter(|number| passed(&limit, Key::Value(&number.to_le_bytes()), limit.born, 1) == 1);
    let alone = alone.count();
    assert!(alone > 4096 * 95 / 100, "{alone}");
}

/// What four workers get through that ask ten times each.
fn passed_by_four(limit: &Limit) -> u32 {
    let through = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| through.fetch_add(passed(limit, ANN, limit.born, 10), Ordering::Relaxed));
        }
    });
    through.into_inner()
}

#[test]
fn workers_that_share_a_key_let_no_more_through_than_one_would() {
    for _ in 0..100 {
        let limit = limit(1, Per::Hour, 10);
        limit.take(ANN, HERE, limit.born);
        assert_eq!(passed_by_four(&limit), 9);
    }
}

#[test]
fn workers_that_meet_at_a_new_key_enter_it_once() {
    // One that is stopped in the middle lets the others pass uncounted meanwhile, rather than have them wait.
    let exact = (0..100).filter(|_| passed_by_four(&limit(1, Per::Hour, 10)) == 10).count();
    assert!(exact >= 90, "{exact}");
}

/// Keys that push each other out of a small table, from several threads: the sum of what passes is bounded all the same.
#[test]
fn workers_that_fight_for_room_let_no_more_through_than_there_is_room_for() {
    for _ in 0..10 {
        let limit = limit_for(1, Per::Hour, 2, 1024, Instant::now());
        let through = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..4_u64 {
                let (limit, through) = (&limit, &through);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(worker);
                    for _ in 0..20_000 {
                        let key = rng.u16(..).to_le_bytes();
                        through.fetch_add(passed(limit, Key::Value(&key), limit.born, 1), Ordering::Relaxed);
                    }
                });
            }
        });
        let through = through.into_inner();
        // A worker that is stopped while it enters a key lets some through uncounted.
        assert!(through <= 256 * 7 * 2 + 256, "{through}");
    }
}

#[test]
fn a_set_fills_two_cache_lines() {
    assert_eq!(keys::SET_BYTES, 128);
}
