//! Values that say where a client went before, to nobody but Tillgate: sealed with AES-256-GCM-SIV (RFC 8452).
//!
//! A value is 12 bytes of nonce, then [`Mark`] and expiry under the seal, 52 bytes in all, as base64url. It is always as
//! long, and two for the same endpoint look as unlike as two for different ones: neither addresses nor how many there are
//! can be read off. A nonce that comes twice tells no more than that two values are the same, so that the numbers of a
//! worker's own generator will do.

use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Key, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Bytes of a nonce.
const NONCE: usize = 12;
/// Bytes of a [`Mark`].
const MARK: usize = 16;
/// Bytes under the seal: a mark and an expiry.
const PLAIN: usize = MARK + 8;
/// Bytes that authenticate them.
const TAG: usize = 16;
/// Characters of a value.
pub const VALUE_LENGTH: usize = ((NONCE + PLAIN + TAG) * 8).div_ceil(6);

/// Stands for something with a name: the same for everybody who knows it by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; MARK]);

impl Mark {
    /// Of an address, or of the name of an upstream.
    pub fn of(name: &str) -> Self {
        let mut mark = [0; MARK];
        mark.copy_from_slice(&Sha256::digest(name)[..MARK]);
        Self(mark)
    }
}

/// What seals.
pub type SealingKey = [u8; 32];

/// The key that a secret text stands for.
pub fn key_of(secret: &str) -> SealingKey {
    Sha256::new().chain_update("tillgate sealed cookie\n").chain_update(secret).finalize().into()
}

/// Seals values for one purpose, and opens them.
pub struct Seal {
    keys: Vec<Aes256GcmSiv>,
    purpose: String,
    ttl: u64,
}

/// What was in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Whom it names.
    pub mark: Mark,
    /// Whether the client should be given a new one: half of its time is gone, or it was sealed with an old key.
    pub is_stale: bool,
}

impl Seal {
    /// A value is good for `ttl` seconds. The first key seals, each opens; what was sealed for another purpose is not
    /// opened.
    pub fn new(purpose: String, keys: impl IntoIterator<Item = SealingKey>, ttl: u64) -> Self {
        let keys = keys.into_iter().map(|key| Aes256GcmSiv::new(&Key::<Aes256GcmSiv>::from(key)));
        Self { keys: keys.collect(), purpose, ttl }
    }

    /// A value that names `mark` from `now` on, which is in seconds since 1970. `None` without a key.
    pub fn close(&self, mark: Mark, now: u64, rng: &mut fastrand::Rng) -> Option<String> {
        let mut value = [0; NONCE + PLAIN + TAG];
        let (nonce, rest) = value.split_at_mut(NONCE);
        rng.fill(nonce);
        let mut plain = [0; PLAIN];
        plain[..MARK].copy_from_slice(&mark.0);
        plain[MARK..].copy_from_slice(&now.saturating_add(self.ttl).to_be_bytes());
        let payload = Payload { msg: &plain, aad: self.purpose.as_bytes() };
        let nonce = Nonce::try_from(&*nonce).ok()?;
        rest.copy_from_slice(&self.keys.first()?.encrypt(&nonce, payload).ok()?);
        Some(URL_SAFE_NO_PAD.encode(value))
    }

    /// What the value says, if it was sealed here for this purpose and `now` is within its time.
    pub fn open(&self, value: &[u8], now: u64) -> Option<Opened> {
        // Base64 is decoded in whole groups of three.
        let mut bytes = [0; (NONCE + PLAIN + TAG).next_multiple_of(3)];
        if value.len() != VALUE_LENGTH {
            return None;
        }
        let length = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        let (nonce, sealed) = bytes[..length].split_at_checked(NONCE)?;
        let nonce = Nonce::try_from(nonce).ok()?;
        let open = |key: &Aes256GcmSiv| {
            key.decrypt(&nonce, Payload { msg: sealed, aad: self.purpose.as_bytes() }).ok()
        };
        let (key, plain) = self.keys.iter().enumerate().find_map(|(at, key)| Some((at, open(key)?)))?;
        let (mark, expires) = plain.split_at_checked(MARK)?;
        let (mark, expires) = (mark.try_into().ok()?, u64::from_be_bytes(expires.try_into().ok()?));
        let left = expires.checked_sub(now).filter(|left| *left > 0)?;
        Some(Opened { mark: Mark(mark), is_stale: key > 0 || left <= self.ttl / 2 || left > self.ttl })
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn seal(secrets: &[&str]) -> Seal {
        Seal::new("sticky shop".into(), secrets.iter().map(|secret| key_of(secret)), 3600)
    }

    fn value(seal: &Seal, name: &str, seed: u64) -> String {
        seal.close(Mark::of(name), NOW, &mut fastrand::Rng::with_seed(seed)).expect("a key")
    }

    #[test]
    fn what_is_sealed_can_be_opened_until_it_expires() {
        let seal = seal(&["one"]);
        let value = value(&seal, "127.0.0.1:7001", 1);
        assert_eq!(value.len(), VALUE_LENGTH);
        let opened = |now| seal.open(value.as_bytes(), now);
        let fresh = Opened { mark: Mark::of("127.0.0.1:7001"), is_stale: false };
        assert_eq!(opened(NOW), Some(fresh));
        assert_eq!(opened(NOW + 1799), Some(fresh));
        assert_eq!(opened(NOW + 1800), Some(Opened { is_stale: true, ..fresh }), "half of its time is gone");
        assert_eq!(opened(NOW + 3599), Some(Opened { is_stale: true, ..fresh }));
        assert_eq!(opened(NOW + 3600), None);
        assert_eq!(opened(u64::MAX), None);
        assert_eq!(opened(NOW - 10), Some(Opened { is_stale: true, ..fresh }), "the clock was set back");
    }

    #[test]
    fn a_value_with_any_other_byte_in_it_is_not_opened() {
        let seal = seal(&["one"]);
        let value = value(&seal, "127.0.0.1:7001", 2).into_bytes();
        for at in 0..value.len() {
            for byte in (0..=255).filter(|byte| *byte != value[at]) {
                let mut other = value.clone();
                other[at] = byte;
                assert_eq!(seal.open(&other, NOW), None, "{byte} at {at}");
            }
        }
        for length in (0..value.len()).chain([value.len() + 1, 10_000]) {
            let other: Vec<u8> = value.iter().copied().cycle().take(length).collect();
            assert_eq!(seal.open(&other, NOW), None, "{length} bytes");
        }
    }

    #[test]
    fn a_value_tells_nothing_of_whom_it_names() {
        let seal = seal(&["one"]);
        let [first, same, other] = [("127.0.0.1:7001", 3), ("127.0.0.1:7001", 4), ("127.0.0.1:7002", 5)]
            .map(|(name, seed)| value(&seal, name, seed));
        let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).filter(|(a, b)| a == b).count();
        assert!(alike(&first, &same) < 10 && alike(&first, &other) < 10, "{first} {same} {other}");
        let decoded = URL_SAFE_NO_PAD.decode(&first).expect("base64");
        for part in
            [&b"127"[..], &[127, 0, 0, 1], &7001_u16.to_be_bytes(), &Mark::of("127.0.0.1:7001").0[..4]]
        {
            assert!(!decoded.windows(part.len()).any(|window| window == part), "{part:?}");
        }
    }

    #[test]
    fn an_old_secret_opens_and_a_forgotten_one_does_not() {
        let value = value(&seal(&["old"]), "a:1", 6);
        let opened = |secrets: &[&str]| seal(secrets).open(value.as_bytes(), NOW);
        assert_eq!(opened(&["old", "other"]).map(|opened| opened.is_stale), Some(false));
        assert_eq!(opened(&["new", "old"]).map(|opened| opened.is_stale), Some(true));
        assert_eq!(opened(&["new"]), None);
    }

    #[test]
    fn a_value_for_one_upstream_is_none_for_another() {
        let value = value(&seal(&["one"]), "a:1", 7);
        let other = Seal::new("sticky other".into(), [key_of("one")], 3600);
        assert_eq!(other.open(value.as_bytes(), NOW), None);
    }
}
