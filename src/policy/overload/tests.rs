#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::*;

fn signs(standing: bool, waiting: u32) -> Signs {
    Signs { lasting: standing, standing, waiting, ..Signs::default() }
}

fn after(ticks: usize, overload: &mut Overload, signs: Signs) -> Shares {
    (0..ticks).fold(overload.shares(), |_, _| overload.tick(signs))
}

#[test]
fn a_calm_upstream_lets_everything_in() {
    let mut overload = Overload::default();
    assert_eq!(after(100, &mut overload, signs(false, 3)), Shares::ALL);
    assert_eq!(Shares::ALL.of(Priority::Critical), 1.0);
}

#[test]
fn the_sheddable_go_first_then_the_normal_and_the_critical_never() {
    let mut overload = Overload::default();
    let mut seen = vec![Shares::ALL];
    for _ in 0..200 {
        seen.push(overload.tick(signs(true, 100)));
    }
    assert!(seen.iter().all(|shares| shares.normal == 1.0 || shares.sheddable == 0.0));
    assert!(seen.windows(2).all(|pair| pair[0].sheddable - pair[1].sheddable <= 0.11));
    assert_eq!(*seen.last().expect("some"), Shares { normal: 0.0, sheddable: 0.0 });
    assert_eq!(overload.shares().of(Priority::Critical), 1.0);
}

#[test]
fn when_the_load_goes_everything_is_back_within_ten_seconds_the_normal_first() {
    let mut overload = Overload::default();
    after(200, &mut overload, signs(true, 100));
    let half = after(50, &mut overload, signs(false, 0));
    assert!(half.normal > 0.99 && half.sheddable < 0.03, "{half:?}");
    assert_eq!(after(55, &mut overload, signs(false, 0)), Shares::ALL);
}

#[test]
fn a_queue_within_its_limits_sheds_the_sheddable_only_and_gives_the_normal_back() {
    let lasting = Signs { standing: false, ..signs(true, 16) };
    let mut overload = Overload::default();
    assert_eq!(after(200, &mut overload, lasting), Shares { normal: 1.0, sheddable: 0.0 });
    after(200, &mut overload, signs(true, 100));
    assert_eq!(after(60, &mut overload, lasting), Shares { normal: 1.0, sheddable: 0.0 });
}

#[test]
fn a_queue_that_becomes_shorter_is_left_to_do_so() {
    let mut overload = Overload::default();
    overload.tick(signs(true, 1000));
    let before = overload.shares();
    assert_eq!(overload.tick(signs(true, 900)), before);
    assert!(overload.tick(signs(true, 890)).sheddable < before.sheddable, "hardly shorter");
}

#[test]
fn without_a_queue_the_refused_are_the_sign() {
    let mut overload = Overload::default();
    let refused = Signs { refused: 1, ..Signs::default() };
    assert!(overload.tick(refused).sheddable < 1.0);
    assert_eq!(overload.shares().normal, 1.0);
}

#[test]
fn a_missed_target_never_sheds_what_is_more_important_and_never_everything() {
    let missing = |missed| Signs { missed: Some(missed), misses: true, ..Signs::default() };
    let mut overload = Overload::default();
    let shares = after(50, &mut overload, missing(Priority::Sheddable));
    assert_eq!(shares, Shares { normal: 1.0, sheddable: SHEDDABLE_FOR_TARGET });
    let shares = after(50, &mut overload, missing(Priority::Critical));
    assert_eq!(shares, Shares { normal: NORMAL_FOR_TARGET, sheddable: SHEDDABLE_FOR_TARGET });
    let held = after(5, &mut overload, Signs { misses: true, ..Signs::default() });
    assert_eq!(held, shares, "until a round keeps the target");
    assert!(overload.tick(Signs::default()).normal > NORMAL_FOR_TARGET);
}

#[test]
fn a_target_does_not_give_back_what_the_queue_took() {
    let mut overload = Overload::default();
    after(200, &mut overload, signs(true, 100));
    let missed = Signs { missed: Some(Priority::Critical), misses: true, ..signs(true, 100) };
    assert_eq!(overload.tick(missed), Shares { normal: 0.0, sheddable: 0.0 });
}

#[test]
fn what_is_published_in_one_word_is_what_was_meant() {
    for shares in
        [Shares::ALL, Shares { normal: 0.0, sheddable: 0.0 }, Shares { normal: 0.5, sheddable: 0.02 }]
    {
        let read = Shares::unpack(shares.pack());
        assert!(
            (read.normal - shares.normal).abs() < 1e-4 && (read.sheddable - shares.sheddable).abs() < 1e-4
        );
    }
    assert_eq!(Shares::unpack(Shares::ALL.pack()), Shares::ALL);
}

/// An upstream of fixed capacity at three times its load, a third of it critical: the shares settle, and do not open and
/// close.
#[test]
fn under_a_steady_overload_the_shares_settle() {
    let (capacity, offered) = (100.0_f32, 150.0_f32);
    let mut overload = Overload::default();
    let (mut waiting, mut stood) = (0.0_f32, false);
    let mut seen = Vec::new();
    for tick in 0..600 {
        let shares = overload.shares();
        let arrived = 30.0 + offered * 0.5 * shares.normal + offered * 1.3 * shares.sheddable;
        let before = waiting;
        waiting = (waiting + arrived - capacity).clamp(0.0, 300.0);
        let standing = std::mem::replace(&mut stood, waiting > 0.0) && before > 0.0 && waiting > 0.0;
        overload.tick(signs(standing, waiting as u32));
        if tick >= 100 {
            seen.push(shares.normal + shares.sheddable);
        }
    }
    let (low, high) =
        seen.iter().fold((f32::MAX, 0.0_f32), |(low, high), one| (low.min(*one), high.max(*one)));
    assert!(low > 0.6 && high < 1.2, "{low} to {high}");
}
