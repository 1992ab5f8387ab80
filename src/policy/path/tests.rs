use super::*;

fn matched(path: &str) -> String {
    normalise(path).map(|normal| normal.matched.into_owned()).unwrap_or_else(|error| error.to_string())
}

fn forwarded(path: &str) -> String {
    normalise(path).map(|normal| normal.forwarded.into_owned()).unwrap_or_else(|error| error.to_string())
}

fn refusal(path: &str) -> Option<PathError> {
    normalise(path).err()
}

#[test]
fn a_plain_path_is_borrowed_as_it_is() {
    for path in ["/", "/api/orders/42", "/a.b/c..d/", "/~x;v=1", "/käse"] {
        let normal = normalise(path).expect("plain");
        assert!(matches!(normal.matched, Cow::Borrowed(text) if text == path));
        assert!(matches!(normal.forwarded, Cow::Borrowed(text) if text == path));
    }
}

#[test]
fn a_file_that_begins_with_a_dot_costs_no_allocation() {
    let normal = normalise("/.well-known/acme").expect("no dot segment");
    assert!(matches!((normal.matched, normal.forwarded), (Cow::Borrowed(_), Cow::Borrowed(_))));
}

#[test]
fn the_matched_path_is_decoded_and_the_forwarded_one_is_not() {
    assert_eq!(matched("/%61pi/caf%C3%A9%20x"), "/api/café x");
    assert_eq!(forwarded("/%61pi/caf%C3%A9%20x"), "/%61pi/caf%C3%A9%20x");
}

#[test]
fn a_path_is_decoded_once_only() {
    assert_eq!(matched("/a/%252e%252e/b"), "/a/%252e%252e/b");
    assert_eq!(forwarded("/a/%252e%252e/b"), "/a/%252e%252e/b");
    assert_ne!(matched("/a%252fb"), matched("/a%2fb"));
}

#[test]
fn an_encoded_slash_stays_encoded() {
    assert_eq!(matched("/a%2fb/c"), "/a%2Fb/c");
    assert_eq!(forwarded("/a%2fb/c"), "/a%2fb/c");
}

#[test]
fn delimiters_and_controls_stay_encoded() {
    assert_eq!(matched("/%3f%23%25%0a%7f"), "/%3F%23%25%0A%7F");
}

#[test]
fn bytes_that_are_not_utf_8_stay_encoded() {
    assert_eq!(matched("/%ff%c0%ae%e2%82"), "/%FF%C0%AE%E2%82");
    assert_eq!(matched("/%e2%82%ac%f0%9f%8d%95%80"), "/€🍕%80");
}

#[test]
fn dot_segments_are_resolved_in_both_forms() {
    for (path, plain) in [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/.", "/"),
        ("/a//../b", "/a/b"),
        ("/.../b", "/.../b"),
    ] {
        assert_eq!(matched(path), plain, "{path}");
        assert_eq!(forwarded(path), plain, "{path}");
    }
}

#[test]
fn slashes_are_merged_for_matching_only() {
    assert_eq!(matched("//a///b//"), "/a/b/");
    assert_eq!(forwarded("//a///b//"), "//a///b//");
}

#[test]
fn climbing_above_the_root_is_refused() {
    for path in ["/..", "/../a", "/a/../../b", "/%2e%2e/a", "/./../a"] {
        assert_eq!(refusal(path), Some(PathError::AboveRoot), "{path}");
    }
}

#[test]
fn an_encoded_slash_cannot_form_a_dot_segment() {
    for path in ["/a/..%2f..", "/a%2f../b", "/a%2F..%2fb", "/a%2f.", "/..%2fa", "/a%2f%2e%2e%2fb", "/.%2f"] {
        assert_eq!(refusal(path), Some(PathError::DisguisedDots), "{path}");
    }
    assert_eq!(refusal("/a%2f...%2f.b"), None);
}

#[test]
fn parameters_cannot_hide_a_dot_segment() {
    for path in ["/a/..;/b", "/a/..;x=1/b", "/a/.;/b", "/a/%2e%2e%3b/b", "/a%2f..;/b"] {
        assert_eq!(refusal(path), Some(PathError::DisguisedDots), "{path}");
    }
    assert_eq!(refusal("/a/b;v=../c"), None);
}

#[test]
fn a_backslash_is_refused_raw_or_encoded() {
    for path in ["/a\\b", "/a%5cb", "/a/..%5C..", "\\a"] {
        assert!(matches!(refusal(path), Some(PathError::Backslash | PathError::NotAbsolute)), "{path}");
    }
}

#[test]
fn nul_control_characters_and_fragments_are_refused() {
    assert_eq!(refusal("/a%00b"), Some(PathError::Nul));
    assert_eq!(refusal("/a\0b"), Some(PathError::Control));
    assert_eq!(refusal("/a\nb"), Some(PathError::Control));
    assert_eq!(refusal("/a\x7fb"), Some(PathError::Control));
    assert_eq!(refusal("/a#b"), Some(PathError::Fragment));
}

#[test]
fn a_broken_escape_is_refused() {
    for path in ["/%", "/%4", "/%zz", "/%u0041", "/a%2", "/%é"] {
        assert_eq!(refusal(path), Some(PathError::BadEscape), "{path}");
    }
}

#[test]
fn a_path_begins_with_a_slash() {
    for path in ["", "*", "a/b", "%2fa", "."] {
        assert_eq!(refusal(path), Some(PathError::NotAbsolute), "{path}");
    }
}

#[test]
fn a_segment_that_is_refused_is_refused_even_if_it_would_be_climbed_out_of() {
    assert_eq!(refusal("/a%00/../b"), Some(PathError::Nul));
    assert_eq!(refusal("/a%2f../../b"), Some(PathError::DisguisedDots));
}

const PIECES: [&str; 26] = [
    "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%2F", "%25", "%252e", "%5c", "%00", "a", "b", "api", ";",
    "%3b", "%c3%a9", "%ff", "%c3", "é", " ", "%3f", "%0a", "%",
];

fn random_path(rng: &mut fastrand::Rng) -> String {
    let pieces = (0..rng.usize(..12)).map(|_| PIECES[rng.usize(..PIECES.len())]);
    std::iter::once("/").chain(pieces).collect()
}

/// 40,000 seeded paths made of the pieces that attacks are made of.
fn accepted_paths() -> impl Iterator<Item = String> {
    let mut rng = fastrand::Rng::with_seed(0x9a7);
    (0..40_000).map(move |_| random_path(&mut rng)).filter(|path| normalise(path).is_ok())
}

#[test]
fn property_a_matched_path_has_no_dot_segment_and_no_empty_one_inside() {
    for path in accepted_paths() {
        let matched = matched(&path);
        let segments: Vec<&str> = matched.split('/').skip(1).collect();
        assert!(matched.starts_with('/'), "{path}");
        assert!(!segments.iter().any(|segment| matches!(*segment, "." | "..")), "{path} -> {matched}");
        assert!(!segments[..segments.len() - 1].contains(&""), "{path} -> {matched}");
    }
}

#[test]
fn property_normalising_a_matched_path_again_changes_nothing() {
    for path in accepted_paths() {
        let once = matched(&path);
        assert_eq!(matched(&once), once, "{path}");
    }
}

#[test]
fn property_the_forwarded_path_has_the_same_match() {
    for path in accepted_paths() {
        let forwarded = forwarded(&path);
        let again = normalise(&forwarded).expect("what is forwarded is a good path");
        assert_eq!(again.matched, matched(&path), "{path}");
        assert_eq!(again.forwarded, forwarded, "{path}");
    }
}

/// What a careless endpoint might do: decode everything, also slashes, cut parameters, then resolve dots.
#[test]
fn property_an_endpoint_that_decodes_slashes_stays_below_the_matched_prefix() {
    for path in accepted_paths() {
        let decoded =
            forwarded(&path).to_lowercase().replace("%2f", "/").replace("%2e", ".").replace("%3b", ";");
        let mut segments = decoded.split('/').map(|segment| segment.split(';').next());
        assert!(!segments.any(|segment| matches!(segment, Some("." | ".."))), "{path} -> {decoded}");
    }
}
