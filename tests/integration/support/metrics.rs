//! OpenMetrics text, as a scraper reads it.

use std::collections::{BTreeMap, BTreeSet};

/// One sample: its name, and its labels by name.
type Key = (String, BTreeMap<String, String>);

/// One scrape.
#[derive(Debug)]
pub struct Metrics {
    /// Families by name, with their type.
    pub families: BTreeMap<String, String>,
    samples: BTreeMap<Key, f64>,
}

impl Metrics {
    /// Panics where the text breaks a rule of the format that a scraper would trip over.
    pub fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("`# EOF` at the end");
        let mut metrics = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => metrics.comment(comment),
                None => metrics.sample(line),
            }
        }
        metrics
    }

    fn comment(&mut self, comment: &str) {
        let mut words = comment.splitn(3, ' ');
        let (word, name) = (words.next(), words.next().expect("a family"));
        if word == Some("TYPE") {
            let kind = words.next().expect("a type").to_owned();
            assert!(self.families.insert(name.to_owned(), kind).is_none(), "{name} stands there twice");
        }
    }

    fn sample(&mut self, line: &str) {
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("open labels: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        let before = self.samples.insert((name.to_owned(), pairs(labels)), value);
        assert!(before.is_none(), "a sample stands there twice: {line}");
    }

    /// The sum of the samples of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|found| found == value))
        };
        let samples = self.samples.iter().filter(|((found, labels), _)| found == name && has(labels));
        samples.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The same as a whole number, as a counter is.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        format!("{sum}").parse().unwrap_or_else(|_| panic!("{name} is {sum}"))
    }

    /// The names of all samples.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// The names of all labels.
    pub fn labels(&self) -> BTreeSet<&str> {
        self.samples.keys().flat_map(|(_, labels)| labels.keys().map(String::as_str)).collect()
    }

    /// The values of `le` with their counts, for one histogram.
    pub fn buckets(&self, histogram: &str, labels: &[(&str, &str)]) -> Vec<(String, f64)> {
        let name = format!("{histogram}_bucket");
        let mine = self.samples.iter().filter(|((found, found_labels), _)| {
            *found == name && labels.iter().all(|(key, value)| found_labels[*key] == *value)
        });
        let mut buckets: Vec<_> = mine.map(|((_, labels), count)| (labels["le"].clone(), *count)).collect();
        buckets.sort_by(|a, b| bound(&a.0).total_cmp(&bound(&b.0)));
        buckets
    }
}

fn bound(le: &str) -> f64 {
    le.parse().unwrap_or_else(|_| panic!("le={le}"))
}

/// `a="b",c="d"`. No value in these tests has a quote or a comma in it.
fn pairs(labels: &str) -> BTreeMap<String, String> {
    let pairs = labels.split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').expect("a label");
        (key.to_owned(), value.trim_matches('"').to_owned())
    };
    pairs.map(pair).collect()
}
