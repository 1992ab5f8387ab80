//! `Accept-Encoding` (RFC 9110 section 12.5.3): what the client can read, and what it would rather have.

use http::header::{self, HeaderMap, HeaderValue};

use crate::config::Coding;

/// What a client wishes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// What it gets where something is compressed; `None` where it does not want that, or cannot read what there is.
    pub coding: Option<Coding>,
    /// It does not want what is not compressed, be it as short as it may.
    pub refuses_plain: bool,
}

/// A weight in thousandths.
type Weight = u16;

/// What was said of each; `None` where it was not named.
#[derive(Default)]
struct Said {
    codings: [Option<Weight>; Coding::ALL.len()],
    plain: Option<Weight>,
    others: Option<Weight>,
}

/// What a client wishes for, of what is `offered`; the first of those counts among equals. One that says nothing is not
/// sent anything compressed, though it would have to read it.
pub fn wish(headers: &HeaderMap, offered: &[Coding]) -> Wish {
    let mut said = Said::default();
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        said.hear(line);
    }
    let weights = offered.iter().map(|coding| (*coding, said.of(*coding))).filter(|(_, weight)| *weight > 0);
    // Of equals, `max_by_key` would take the last.
    let best = weights.rev().max_by_key(|(_, weight)| *weight);
    let plain = said.plain.or(said.others.filter(|weight| *weight == 0));
    let wanted = best.filter(|(_, weight)| plain.is_none_or(|plain| plain <= *weight));
    Wish { coding: wanted.map(|(coding, _)| coding), refuses_plain: plain == Some(0) }
}

impl Said {
    fn hear(&mut self, line: &HeaderValue) {
        for item in line.as_bytes().split(|byte| *byte == b',') {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            // What cannot be read is as if it were not there.
            if let Some(weight) = parts.next().map_or(Some(1000), weight)
                && let Some(place) = self.place(name)
            {
                *place = Some(weight);
            }
        }
    }

    fn place(&mut self, name: &[u8]) -> Option<&mut Option<Weight>> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        match Coding::ALL.iter().position(|coding| is(coding.name())) {
            Some(index) => Some(&mut self.codings[index]),
            None if is("x-gzip") => Some(&mut self.codings[Coding::Gzip as usize]),
            None if is("identity") => Some(&mut self.plain),
            None if is("*") => Some(&mut self.others),
            None => None,
        }
    }

    fn of(&self, coding: Coding) -> Weight {
        self.codings[coding as usize].or(self.others).unwrap_or(0)
    }
}

/// `q=0.5`: 0 to 1 with up to three digits after the point.
fn weight(parameter: &[u8]) -> Option<Weight> {
    let text = std::str::from_utf8(parameter).ok()?;
    let (name, value) = text.split_once('=')?;
    let value = value.trim_start();
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    let digits = rest.len() <= 3 && rest.bytes().all(|b| b.is_ascii_digit());
    if !name.trim_end().eq_ignore_ascii_case("q") || !digits {
        return None;
    }
    let thousandths = format!("{rest:0<3}").parse::<Weight>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Coding::{Brotli, Gzip, Zstd};

    fn asked(value: &str) -> Wish {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).expect("a value"));
        wish(&headers, &Coding::ALL)
    }

    fn coding(value: &str) -> Option<Coding> {
        asked(value).coding
    }

    #[test]
    fn the_first_that_is_offered_counts_among_equals() {
        assert_eq!(coding("gzip, deflate, br, zstd"), Some(Zstd));
        assert_eq!(coding("gzip, deflate, br"), Some(Brotli));
        assert_eq!(coding("gzip"), Some(Gzip));
        assert_eq!(coding("GZip"), Some(Gzip));
        assert_eq!(coding("x-gzip"), Some(Gzip));
        assert_eq!(coding("*"), Some(Zstd));
    }

    #[test]
    fn the_client_s_weights_count_before_that() {
        assert_eq!(coding("gzip;q=1.0, br;q=0.8, zstd;q=0.799"), Some(Gzip));
        assert_eq!(coding("gzip ; q=0.5 , br; Q=0.501"), Some(Brotli));
        assert_eq!(coding("zstd;q=0, *"), Some(Brotli));
        assert_eq!(coding("zstd;q=0.000, br;q=0.0, gzip;q=0.001"), Some(Gzip));
        assert_eq!(coding("*;q=0.1, gzip"), Some(Gzip));
        assert_eq!(coding("gzip;q=0.5, identity;q=0.9"), None);
        assert_eq!(coding("gzip;q=0.5, identity;q=0.5"), Some(Gzip), "as good to the client, and shorter");
    }

    #[test]
    fn what_nobody_asks_for_is_not_compressed() {
        for value in ["", "identity", "deflate, compress", "gzip;q=0", "*;q=0", "gzipped", ",,;q=1"] {
            assert_eq!(coding(value), None, "{value}");
        }
        assert_eq!(wish(&HeaderMap::new(), &Coding::ALL), Wish::default());
    }

    #[test]
    fn only_what_is_offered_is_used() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd, br"));
        assert_eq!(wish(&headers, &[Gzip]).coding, None);
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(wish(&headers, &[Gzip]).coding, Some(Gzip), "all lines count");
        assert_eq!(wish(&headers, &[Gzip, Brotli]).coding, Some(Gzip));
    }

    #[test]
    fn a_client_may_refuse_what_is_not_compressed() {
        assert!(asked("gzip, identity;q=0").refuses_plain);
        assert!(asked("gzip, *;q=0").refuses_plain);
        assert_eq!(asked("gzip, *;q=0").coding, Some(Gzip));
        assert!(!asked("gzip, *;q=0, identity").refuses_plain);
        assert!(!asked("gzip, *;q=0.5").refuses_plain);
        assert!(!asked("gzip").refuses_plain);
    }

    #[test]
    fn an_item_with_a_weight_that_is_none_is_not_there() {
        for value in [
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=.5",
            "gzip;x=1",
            "gzip;\u{e9}",
        ] {
            assert_eq!(coding(value), None, "{value}");
        }
        assert_eq!(coding("gzip;q=1."), Some(Gzip));
        assert_eq!(coding("br;q=9, gzip"), Some(Gzip));
    }
}
