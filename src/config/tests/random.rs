use super::read;
use crate::config::to_yaml;

const ROUNDS: usize = 4000;

/// Bytes that mean something to YAML or to this config, for mutations that get past the first look.
const PIECES: [&str; 24] = [
    ":", "- ", "{", "}", "[", "]", "\"", "'", "\n", "\t", "#", "&a ", "*a", "!", "!!int ", "<<: ", "${", "|",
    ">", "%", "---\n", "\u{feff}", "\0", "é",
];

#[test]
fn no_bytes_make_it_panic() {
    let good = super::example_without_comments();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..ROUNDS {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..rng.usize(1..6) {
            mutate(&mut bytes, &mut rng);
        }
        check(&String::from_utf8_lossy(&bytes));
    }
}

/// Whatever it is: a config that survives printing, or problems that can be shown and stand in the file.
fn check(text: &str) {
    match read(text) {
        Ok(loaded) => assert!(read(&to_yaml(&loaded.config)).is_ok(), "{text}"),
        Err(problems) => {
            assert!(!problems.is_empty() && !problems.to_string().is_empty());
            let lines = super::super::excerpt::lines(text).len();
            assert!(problems.iter().all(|problem| problem.line <= lines), "{text}");
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    let at = rng.usize(..bytes.len().max(1)).min(bytes.len());
    match rng.u8(..5) {
        0 => bytes.truncate(at),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.u8(..7)),
        2 => drop(bytes.splice(at..at, rng.choice(PIECES).unwrap_or_default().bytes())),
        3 => drop(bytes.drain(at..(at + rng.usize(..8)).min(bytes.len()))),
        _ => {
            let piece: Vec<u8> = bytes.iter().skip(rng.usize(..=at)).take(rng.usize(..40)).copied().collect();
            drop(bytes.splice(at..at, piece));
        }
    }
}
