//! Distinguished names as text (RFC 4514), in printable ASCII only: whatever a certificate says can then stand in a header
//! and in a log, and no name can be spelled so that it reads as another.

use std::fmt::Write;

use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The most specific part first, as in `CN=web-1,O=Shop`.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes: Vec<String> = part.iter().map(attribute).collect();
            attributes.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let name = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    format!("{name}={}", value(attribute.attr_value()))
}

/// As a string, or where it is none the hexadecimal form of section 2.4.
fn value(value: &Any<'_>) -> String {
    match value.as_any_str() {
        Ok(text) => escaped(&text),
        Err(_) => value.data.iter().fold("#".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02X}");
            hex
        }),
    }
}

/// RFC 4514 section 2.4; what is not printable ASCII as `\XX`, byte by byte.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => out.extend(['\\', char::from(byte)]),
            b'#' if place == 0 => out.push_str("\\#"),
            b' ' if place == 0 || place == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => drop(write!(out, "\\{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_as_another_name_is_escaped() {
        assert_eq!(escaped("web-1.shop"), "web-1.shop");
        assert_eq!(escaped("a,O=admin"), "a\\,O\\=admin");
        assert_eq!(escaped("#a \"b\" "), "\\#a \\\"b\\\"\\ ");
        assert_eq!(escaped("a\r\nb"), "a\\0D\\0Ab");
        assert_eq!(escaped("é"), "\\C3\\A9");
    }
}
