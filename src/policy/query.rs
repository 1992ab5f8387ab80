//! Query parameters by name, as `application/x-www-form-urlencoded` has them (WHATWG URL, section 5.1).
//!
//! Nothing is collected: a query is walked once per question and compared while it is decoded. It never
//! refuses a query; a broken escape stands for itself, as in every form parser.

use std::borrow::Cow;

use super::percent::escape;

/// The decoded value of the first parameter called `name`; a parameter without `=` has the empty value.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    let value = raw_parameter(query, name)?.as_bytes();
    let is_plain = !value.iter().any(|byte| matches!(byte, b'%' | b'+'));
    Some(if is_plain { Cow::Borrowed(value) } else { Cow::Owned(decoded(value).collect()) })
}

/// Whether the first parameter called `name` has this value once decoded. Never allocates.
pub fn parameter_is(query: &str, name: &str, value: &str) -> bool {
    raw_parameter(query, name).is_some_and(|raw| decoded(raw.as_bytes()).eq(value.bytes()))
}

fn raw_parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut named = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    named.find(|(key, _)| decoded(key.as_bytes()).eq(name.bytes())).map(|(_, value)| value)
}

fn decoded(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (&first, rest) = text.split_first()?;
        let (byte, taken) = match first {
            b'+' => (b' ', 1),
            b'%' => escape(text).map_or((b'%', 1), |byte| (byte, 3)),
            plain => (plain, 1),
        };
        text = rest.get(taken - 1..).unwrap_or_default();
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        assert_eq!(parameter("v=1&v=2", "v").as_deref(), Some(&b"1"[..]));
        assert!(parameter_is("a=b&v=1&v=2", "v", "1"));
        assert!(!parameter_is("v=1&v=2", "v", "2"));
    }

    #[test]
    fn names_and_values_are_compared_decoded_and_plus_is_a_space() {
        assert!(parameter_is("na%6De=a+b%20c%2B", "name", "a b c+"));
        assert_eq!(parameter("k=caf%C3%A9", "k").as_deref(), Some("café".as_bytes()));
    }

    #[test]
    fn a_broken_escape_stands_for_itself() {
        assert!(parameter_is("v=100%&w=%zz%4", "v", "100%"));
        assert!(parameter_is("v=100%&w=%zz%4", "w", "%zz%4"));
    }

    #[test]
    fn a_parameter_without_equals_is_empty_and_an_absent_one_is_absent() {
        assert!(parameter_is("&&flag&x=1", "flag", ""));
        assert_eq!(parameter("&&flag&x=1", ""), None);
        assert_eq!(parameter("", "flag"), None);
    }
}
