//! Whether what was asked, answered and received fits together.

use std::collections::BTreeMap;

use super::load::Asked;
use super::wire::Answer;

/// How a GET may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// In no way.
    Nothing,
    /// By a body that is visibly cut.
    CutBodies,
    /// There is nobody who could answer it.
    Failures,
}

/// Panics with what does not fit. `tally` says how often each request was received, `starved` that the machine was too
/// busy for anybody to answer in time.
pub fn pass(what: &str, asked: &[Asked], tally: &BTreeMap<String, usize>, allowed: Allowed, starved: bool) {
    let mut wrong: Vec<String> =
        asked.iter().filter_map(|one| problem(one, tally, allowed, starved)).collect();
    let twice = tally.iter().filter(|(request, count)| request.starts_with("POST") && **count > 1);
    wrong.extend(twice.map(|(request, count)| format!("{request} was received {count} times")));
    let all = asked.len();
    assert!(
        wrong.is_empty(),
        "{what}: {} of {all} are wrong, such as {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(8)]
    );
}

fn problem(
    asked: &Asked,
    tally: &BTreeMap<String, usize>,
    allowed: Allowed,
    starved: bool,
) -> Option<String> {
    let received = tally.get(&asked.request).copied().unwrap_or(0);
    let fits = match &asked.answer {
        None => false,
        Some(answer) if asked.is_post() => post_fits(asked, answer, received),
        Some(answer) => get_fits(asked, answer, allowed, starved),
    };
    (!fits).then(|| format!("{asked:?}, received {received} times"))
}

fn get_fits(asked: &Asked, answer: &Answer, allowed: Allowed, starved: bool) -> bool {
    match allowed {
        _ if is_whole(asked, answer) => true,
        _ if starved && answer.status == 504 => true,
        Allowed::Nothing => false,
        Allowed::CutBodies => answer.status == 200 && answer.cut,
        Allowed::Failures => answer.reason.is_some() && answer.sent.is_some(),
    }
}

/// Whether a POST was told the truth.
pub fn post_fits(asked: &Asked, answer: &Answer, received: usize) -> bool {
    match (&answer.reason, answer.sent.as_deref()) {
        // The endpoint has answered.
        (None, None) => received == 1 && (answer.cut || answer.status != 200 || is_whole(asked, answer)),
        (Some(_), Some("none")) => received == 0,
        (Some(_), Some("maybe")) => received <= 1,
        (Some(_), Some("yes")) => received == 1,
        (Some(_) | None, _) => false,
    }
}

fn is_whole(asked: &Asked, answer: &Answer) -> bool {
    answer.status == 200 && !answer.cut && answer.body == asked.target()
}
