//! `compress` and `routes[].compress`: data only. What follows from it for one response is decided by `policy::compress`.

use std::fmt;

/// How responses are compressed for clients that can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// What may be used, the most wanted first; one to three, each once. Default: zstd, br, gzip.
    pub algorithms: Vec<Coding>,
    /// How hard each of them tries.
    pub levels: Levels,
    /// Responses that are known to be shorter stay as they are, 0 to 16 MiB. Default 1 KiB: less is not worth it.
    pub min_size: u64,
    /// What is worth it, 1 to 64 patterns. Default: [`MediaPattern::usual`].
    pub types: Vec<MediaPattern>,
    /// Whether responses that set cookies are compressed too. Default: they are not, since the length of a page that
    /// has a secret in it, beside what an attacker has put there, tells of the secret (BREACH).
    pub with_cookies: bool,
    /// Responses of one route that are compressed at the same time, over all workers, 1 to 100,000; one more goes out as it
    /// is. Each holds up to 2.5 MiB. Default 500.
    pub max_in_flight: u32,
}

impl Default for Compress {
    fn default() -> Self {
        Self {
            algorithms: Coding::ALL.to_vec(),
            levels: Levels::default(),
            min_size: 1024,
            types: MediaPattern::usual(),
            with_cookies: false,
            max_in_flight: 500,
        }
    }
}

/// A content coding that Tillgate can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them, in the order in which they are wanted by default and of their declaration.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The word used for it in HTTP, the config and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// `compress.level`. The ranges end where a turn of a worker would get too long for everybody else's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// 1 to 9. Default 3.
    pub zstd: u8,
    /// 0 to 6. Default 4.
    pub brotli: u8,
    /// 1 to 9. Default 5.
    pub gzip: u8,
}

impl Default for Levels {
    fn default() -> Self {
        Self { zstd: 3, brotli: 4, gzip: 5 }
    }
}

/// One of `compress.types`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaPattern {
    /// `text/html`.
    Exact(String),
    /// `text/*` as `text`. It takes no event streams: who wants those compressed names them.
    Whole(String),
    /// `application/*+json` as `application` and `+json`.
    Suffix(String, String),
}

/// What is text, or packs as well as text does.
const USUAL: [&str; 16] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/x-ndjson",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/*+xml",
    "application/graphql",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "image/svg+xml",
    "image/x-icon",
    "image/vnd.microsoft.icon",
];

impl MediaPattern {
    /// The default of `types`.
    pub fn usual() -> Vec<Self> {
        USUAL.iter().filter_map(|text| Self::parse(text)).collect()
    }

    /// From text as in the config. `None` if it is no pattern.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        if !is_token(kind) {
            return None;
        }
        match subtype.strip_prefix('*') {
            None => is_token(subtype).then(|| Self::Exact(text.clone())),
            Some("") => Some(Self::Whole(kind.to_owned())),
            Some(suffix) => {
                let fits = suffix.strip_prefix('+').is_some_and(is_token);
                fits.then(|| Self::Suffix(kind.to_owned(), suffix.to_owned()))
            }
        }
    }
}

impl fmt::Display for MediaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Whole(kind) => write!(f, "{kind}/*"),
            Self::Suffix(kind, suffix) => write!(f, "{kind}/*{suffix}"),
        }
    }
}

/// The characters of a restricted name (RFC 6838 section 4.2).
fn is_token(text: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
    (1..=127).contains(&text.len()) && text.bytes().all(is_fit)
}
