//! What gRPC says of itself in the heads and trailers of HTTP/2 (gRPC over HTTP2, `PROTOCOL-HTTP2.md` of the grpc project).

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::reason::Reason;

/// The code a call ended with, in the trailers or, of a call without an answer, in the head.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What it means, for a person.
pub static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long the client waits.
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// After how many milliseconds the call may come again; what is no number forbids it (gRPC A6).
static GRPC_RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

const CONTENT_TYPE: &[u8] = b"application/grpc";

/// What a call ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u8);

impl Code {
    /// Well.
    pub const OK: Self = Self(0);
    /// The caller did not wait for it.
    pub const CANCELLED: Self = Self(1);
    /// Nobody said.
    pub const UNKNOWN: Self = Self(2);
    /// Too late.
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// More than is allowed.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// No such method here.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// Against a rule of the protocol.
    pub const INTERNAL: Self = Self(13);
    /// Nobody there now.
    pub const UNAVAILABLE: Self = Self(14);

    /// The names of all codes, in their order.
    pub const NAMES: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// What a head or trailers say. A code that is none is `UNKNOWN`, as clients take it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&GRPC_STATUS)?;
        let code = value.to_str().ok().and_then(|text| text.parse().ok());
        Some(code.filter(|code| usize::from(*code) < Self::NAMES.len()).map_or(Self::UNKNOWN, Self))
    }

    /// The word for it in logs and metrics.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its place in [`Code::NAMES`].
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// As a header value.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from(u16::from(self.0))
    }

    /// The status an HTTP service would have answered with (`google/rpc/code.proto`), so that a call says of its endpoint
    /// what a request would. That a deadline has passed says nothing: the client sets it.
    pub fn http_status(self) -> Option<StatusCode> {
        let status = match self.0 {
            0 => 200,
            3 | 9 | 11 => 400,
            16 => 401,
            7 => 403,
            5 => 404,
            6 | 10 => 409,
            8 => 429,
            2 | 13 | 15 => 500,
            12 => 501,
            14 => 503,
            _ => return None,
        };
        StatusCode::from_u16(status).ok()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a request is a call: `application/grpc`, with `+proto` and the like. Not gRPC-Web, which is HTTP as any other.
pub fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    let names = kind.get(..CONTENT_TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONTENT_TYPE));
    names && matches!(kind.get(CONTENT_TYPE.len()), None | Some(b'+' | b';' | b' '))
}

/// How long the client waits, if it says so in the right form: at most eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(&GRPC_TIMEOUT)?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// What is left of a timeout as a header value, in the finest unit that has room for it; never nothing.
pub fn timeout_value(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')];
    let fitting = units.into_iter().find(|(number, _)| *number <= MOST);
    let (number, unit) = fitting.unwrap_or((MOST, 'S'));
    HeaderValue::try_from(format!("{}{unit}", number.max(1))).expect("digits and a letter are visible ASCII")
}

/// Whether and when an endpoint wants a call again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushback {
    /// It leaves that to others.
    None,
    /// Not before this has passed.
    After(Duration),
    /// Never.
    Never,
}

/// What the endpoint says of it.
pub fn pushback(headers: &HeaderMap) -> Pushback {
    let Some(value) = headers.get(&GRPC_RETRY_PUSHBACK) else { return Pushback::None };
    let millis = value.to_str().ok().and_then(|text| text.parse().ok());
    millis.map_or(Pushback::Never, |millis| Pushback::After(Duration::from_millis(millis)))
}

/// What a call is told that Tillgate answers itself.
pub fn code_of(reason: Reason) -> Code {
    match reason {
        Reason::NoRoute | Reason::Redirected(_) | Reason::Preflight => Code::UNIMPLEMENTED,
        Reason::FaultInjected(status) => code_of_status(status),
        Reason::RateLimited | Reason::BodyTooLarge => Code::RESOURCE_EXHAUSTED,
        Reason::BadRequest(..) | Reason::PlainHttp | Reason::BodyIncomplete | Reason::BadResponse => {
            Code::INTERNAL
        }
        Reason::NoEndpoint
        | Reason::UpstreamFull
        | Reason::QueueFull
        | Reason::QueueTimeout
        | Reason::Overloaded
        | Reason::OutOfSockets
        | Reason::ConnectFailed
        | Reason::ConnectTimeout
        | Reason::TlsFailed
        | Reason::Reset => Code::UNAVAILABLE,
        // Not UNAVAILABLE, after which many clients call again by themselves: the endpoint may be at it still.
        Reason::BodyTimeout
        | Reason::BodyTooSlow
        | Reason::ResponseTimeout
        | Reason::PerTryTimeout
        | Reason::RequestTimeout => Code::DEADLINE_EXCEEDED,
    }
}

/// What clients take an HTTP status for (`http-grpc-status-mapping.md` of the grpc project).
fn code_of_status(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::INTERNAL,
        401 => Code(16),
        403 => Code(7),
        404 => Code::UNIMPLEMENTED,
        429 | 502..=504 => Code::UNAVAILABLE,
        _ => Code::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a value");
        HeaderMap::from_iter([(HeaderName::from_static(name), value)])
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for call in ["application/grpc", "application/grpc+proto", "Application/gRPC; a=b"] {
            assert!(is_call(&headers("content-type", call)), "{call}");
        }
        for other in ["application/grpc-web", "application/grpcx", "application/json", "application/grp", ""]
        {
            assert!(!is_call(&headers("content-type", other)), "{other}");
        }
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let of = |text| timeout(&headers("grpc-timeout", text));
        assert_eq!(of("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(of("2M"), Some(Duration::from_secs(120)));
        assert_eq!(of("3S"), Some(Duration::from_secs(3)));
        assert_eq!(of("4m"), Some(Duration::from_millis(4)));
        assert_eq!(of("5u"), Some(Duration::from_micros(5)));
        assert_eq!(of("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1 S", "1.5S"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_of_a_timeout_reads_back_as_no_more_than_it_is() {
        for left in [0, 1, 999, 99_999_999, 100_000_000, 3_600_000_000, 1 << 50].map(Duration::from_micros) {
            let read = timeout(&HeaderMap::from_iter([(GRPC_TIMEOUT.clone(), timeout_value(left))]));
            let read = read.expect("in the right form");
            assert!(read <= left.max(Duration::from_micros(1)), "{left:?} became {read:?}");
            assert!(
                read >= left - left / 1000 || left > Duration::from_secs(99_999_999),
                "{left:?}: {read:?}"
            );
        }
    }

    #[test]
    fn a_code_that_is_none_is_unknown() {
        assert_eq!(Code::of(&headers("grpc-status", "14")), Some(Code::UNAVAILABLE));
        for odd in ["17", "255", "256", "-1", "x", ""] {
            assert_eq!(Code::of(&headers("grpc-status", odd)), Some(Code::UNKNOWN), "{odd}");
        }
        assert_eq!(Code::of(&HeaderMap::new()), None);
    }

    #[test]
    fn an_endpoint_may_push_back_or_forbid() {
        let of = |text| pushback(&headers("grpc-retry-pushback-ms", text));
        assert_eq!(of("25"), Pushback::After(Duration::from_millis(25)));
        assert_eq!([of("-1"), of("soon")], [Pushback::Never; 2]);
        assert_eq!(pushback(&HeaderMap::new()), Pushback::None);
    }

    #[test]
    fn a_client_s_deadline_says_nothing_of_the_endpoint() {
        assert_eq!(Code::DEADLINE_EXCEEDED.http_status(), None);
        assert_eq!(Code::CANCELLED.http_status(), None);
        assert_eq!(Code::UNAVAILABLE.http_status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}
