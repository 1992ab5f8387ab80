//! An OCSP response from a file (RFC 6960), as far as it has to be understood to be handed on: whether it is one, for which
//! certificate, and until when. Whether it is well signed is for the client to see.

use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::time::ASN1Time;

/// A response that may be shown beside its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staple {
    /// The number of the certificate that it speaks of.
    pub(super) serial: Vec<u8>,
    /// Seconds since 1970 after which no client believes it.
    pub(super) next_update: Option<i64>,
}

impl Staple {
    /// `None` where the bytes are no response, or one that says that there is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let mut response = Parts::of(der).sequence()?;
        let status = response.next()?;
        if status.tag() != Tag::Enumerated || status.data != [0] {
            return None;
        }
        // responseBytes: [0] { responseType, response }, the latter a BasicOCSPResponse in an octet string.
        let mut basic = response.tagged(0)?.sequence()?;
        basic.next()?;
        let mut basic = Parts::of(basic.next()?.data).sequence()?;
        let mut single = basic.sequence()?.find_sequence()?.sequence()?;
        let mut certificate = single.sequence()?;
        // hashAlgorithm, issuerNameHash, issuerKeyHash
        certificate.nth(2)?;
        let serial = certificate.next()?.data.to_vec();
        // certStatus, thisUpdate
        single.nth(1)?;
        let next_update = single.tagged(0).and_then(|at| ASN1Time::from_der(at.0).ok());
        Some(Self { serial, next_update: next_update.map(|(_, at)| at.timestamp()) })
    }
}

/// What stands one after the other in a DER value.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The parts of the next part, which must be a sequence.
    fn sequence(&mut self) -> Option<Self> {
        self.next().filter(|part| part.tag() == Tag::Sequence).map(|part| Self(part.data))
    }

    /// The parts of the first one that is a sequence: what stands before it may be left out or have several forms.
    fn find_sequence(&mut self) -> Option<Self> {
        self.find(|part| part.tag() == Tag::Sequence).map(|part| Self(part.data))
    }

    /// What the next part wraps, which must have this tag.
    fn tagged(&mut self, tag: u32) -> Option<Self> {
        let is_it = |part: &Any<'_>| part.class() == Class::ContextSpecific && part.tag() == Tag(tag);
        self.next().filter(is_it).map(|part| Self(part.data))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Any<'a>;

    fn next(&mut self) -> Option<Any<'a>> {
        let (rest, part) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).expect("a short value");
        [&[tag][..], if length < 128 { &[] } else { &[0x81] }, &[length], &content].concat()
    }

    /// As RFC 6960 section 4.2.1 has it, with parts that nobody here reads left empty.
    fn response(status: u8, next_update: Option<&[u8]>) -> Vec<u8> {
        let certificate = der(0x30, &[&der(0x30, &[]), &der(4, &[]), &der(4, &[]), &der(2, &[&[1, 2, 3]])]);
        let next_update = next_update.map(|at| der(0xa0, &[&der(0x18, &[at])])).unwrap_or_default();
        let this_update = der(0x18, &[b"20240101000000Z"]);
        let single = der(0x30, &[&certificate, &der(0x80, &[]), &this_update, &next_update]);
        let data = der(0x30, &[&der(0xa1, &[&der(0x30, &[])]), &this_update, &der(0x30, &[&single])]);
        let basic = der(0x30, &[&data]);
        let bytes = der(0x30, &[&der(6, &[&[0x2b]]), &der(4, &[&basic])]);
        der(0x30, &[&der(10, &[&[status]]), &der(0xa0, &[&bytes])])
    }

    #[test]
    fn a_response_says_of_which_certificate_it_speaks_and_until_when() {
        let staple = |next_update| Staple::of(&response(0, next_update)).expect("a staple");
        let dated = staple(Some(b"20240108000000Z"));
        assert_eq!((dated.serial.as_slice(), dated.next_update), (&[1, 2, 3][..], Some(1_704_672_000)));
        assert_eq!(staple(None).next_update, None);
        assert_eq!(Staple::of(&response(3, None)), None, "try later");
    }

    #[test]
    fn bytes_that_are_no_response_are_none() {
        for bytes in
            [&b""[..], b"0", b"\x30\x03\x0a\x01\x06", b"\x30\x03\x0a\x01\x00", b"-----BEGIN", &[0x30; 64]]
        {
            assert_eq!(Staple::of(bytes), None, "{bytes:?}");
        }
    }
}
