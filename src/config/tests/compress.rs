use super::rendering::survives;
use super::{bad, good, hint, route, top};
use crate::config::{Coding, Compress, Levels, MediaPattern};

fn compress(line: &str) -> Option<Compress> {
    good(&route(line)).config.routes.remove(0).compress
}

#[test]
fn nothing_is_compressed_unless_somebody_says_so() {
    assert_eq!(compress(""), None);
    assert_eq!(compress("compress: off"), None);
    assert_eq!(compress("compress: on"), Some(Compress::default()));
    assert_eq!(compress("compress: {}"), Some(Compress::default()));
}

#[test]
fn every_part_may_be_said() {
    let all = "compress: { algorithms: [gzip, zstd], level: { gzip: 9, br: 0 }, min_size: 0, types: [Text/HTML, \
               application/*+JSON, image/*], with_cookies: true, max_in_flight: 7 }";
    let types = vec![
        MediaPattern::Exact("text/html".into()),
        MediaPattern::Suffix("application".into(), "+json".into()),
        MediaPattern::Whole("image".into()),
    ];
    let wanted = Compress {
        algorithms: vec![Coding::Gzip, Coding::Zstd],
        levels: Levels { zstd: 3, brotli: 0, gzip: 9 },
        min_size: 0,
        types,
        with_cookies: true,
        max_in_flight: 7,
    };
    assert_eq!(compress(all), Some(wanted));
    survives(&route(all));
    survives(&route("compress: on"));
    survives(&top("compress: { min_size: 3KiB }"));
}

#[test]
fn routes_do_as_the_file_says_unless_they_say_otherwise() {
    let of = |file: &str, own: &str| {
        let text = format!("{}compress: {file}\n", route(own));
        survives(&text);
        good(&text).config.routes.remove(0).compress
    };
    let small = Compress { min_size: 64, ..Compress::default() };
    assert_eq!(of("on", ""), Some(Compress::default()));
    assert_eq!(of("{ min_size: 64 }", ""), Some(small.clone()));
    assert_eq!(of("{ min_size: 64 }", "compress: off"), None);
    assert_eq!(of("{ min_size: 64 }", "compress: on"), Some(small.clone()));
    let gzip = Compress { levels: Levels { gzip: 1, ..Levels::default() }, ..small };
    assert_eq!(of("{ min_size: 64 }", "compress: { level: { gzip: 1 } }"), Some(gzip));
    assert_eq!(of("off", "compress: on"), Some(Compress::default()));
}

#[test]
fn what_is_wrong_is_told_with_what_to_write() {
    assert_eq!(bad(&route("compress: yes")), ["7:15 `compress` must be `on`, `off` or a map, found `yes`"]);
    assert_eq!(bad(&route("compress: true")), ["7:15 `compress` must be `on`, `off` or a map, found `true`"]);
    assert_eq!(
        bad(&route("compress: { algorithms: [gzip, deflate] }")),
        ["7:36 `algorithm` must be one of zstd, br, gzip, found `deflate`"]
    );
    assert_eq!(bad(&route("compress: { algorithms: [br, br] }")), ["7:34 `br` is given twice"]);
    let off = "write `compress: off` to compress nothing";
    for nothing in ["algorithms: []", "types: []", "max_in_flight: 0"] {
        assert_eq!(hint(&route(&format!("compress: {{ {nothing} }}"))), off);
    }
    assert_eq!(hint(&route("compress: { level: 6 }")), "write it as `{ gzip: 5, br: 4, zstd: 3 }`");
    assert_eq!(hint(&route("compress: { min_sise: 6 }")), "did you mean `min_size`?");
    for (level, wanted) in [("gzip: 10", "1 to 9"), ("br: 7", "0 to 6"), ("zstd: 0", "1 to 9")] {
        let found = bad(&route(&format!("compress: {{ level: {{ {level} }} }}")));
        assert!(found[0].contains(&format!("a whole number from {wanted}")), "{found:?}");
    }
    assert_eq!(
        bad(&route("compress: { min_size: 17MiB }")),
        ["7:27 `min_size` must be a size from 0 to 16MiB, found `17MiB`"]
    );
}

#[test]
fn a_type_is_a_name_a_whole_kind_or_a_suffix() {
    for text in [
        "html",
        "*/*",
        "text/",
        "/html",
        "text/*html",
        "text/*+",
        "text/html; charset=utf-8",
        "a/b/c",
        "text/a*",
    ] {
        let config = route(&format!("compress: {{ types: [\"{text}\"] }}"));
        assert_eq!(
            bad(&config),
            [format!("7:24 `{text}` is not a media type").replace("24", "25")],
            "{text}"
        );
        assert_eq!(hint(&config), "write it as `text/html`, `text/*` or `application/*+json`");
    }
    let many = "text/html, ".repeat(65);
    assert_eq!(
        bad(&route(&format!("compress: {{ types: [{many}] }}"))),
        ["7:24 `types` has 65 entries, and may have 64"]
    );
}

#[test]
fn the_usual_types_are_all_patterns() {
    assert_eq!(MediaPattern::usual().len(), 16);
}

#[test]
fn a_redirect_has_nothing_to_compress() {
    let with = |key: &str| {
        let text = route(&format!("redirect: {{ scheme: https }}\n{key}: on"));
        bad(&text.replace("- upstream: shop", "- name: away"))
    };
    for key in ["compress", "early_hints"] {
        assert!(
            with(key)[0].ends_with(&format!("`{key}` has no meaning beside `redirect`")),
            "{:?}",
            with(key)
        );
    }
}

#[test]
fn early_hints_are_on_or_off() {
    let hints = |line: &str| good(&route(line)).config.routes.remove(0).early_hints;
    assert!(!hints("") && !hints("early_hints: off") && hints("early_hints: on"));
    assert_eq!(
        bad(&route("early_hints: 1")),
        ["7:18 `early_hints` must be one of on, off, found the number 1"]
    );
}
