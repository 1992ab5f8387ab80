//! Amounts and currencies that make sense.

use serde::{Deserialize, Serialize};

const MAX_CENTS: i64 = 10_000_000_000;

/// More than nothing, at most 100 million of the currency's main unit; in its hundredths.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Cents(i64);

impl Cents {
    /// As a value for SQL and for comparisons.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Cents {
    type Error = String;

    fn try_from(cents: i64) -> Result<Self, String> {
        match cents {
            1..=MAX_CENTS => Ok(Self(cents)),
            _ => Err(format!("amount_cents is 1 to {MAX_CENTS}")),
        }
    }
}

/// Three capital letters, as in ISO 4217. Whether the currency exists is not checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency(String);

impl Currency {
    /// As a value for SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        match code.as_bytes() {
            [b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z'] => Ok(Self(code)),
            _ => Err("currency is three capital letters, such as EUR"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_less_than_nothing_are_not_amounts() {
        for cents in [0, -1, i64::MIN, MAX_CENTS + 1] {
            assert!(Cents::try_from(cents).is_err(), "{cents} was taken");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert!(Currency::try_from("EUR".to_owned()).is_ok());
        for code in ["", "eur", "EU", "EURO", "E€"] {
            assert!(Currency::try_from(code.to_owned()).is_err(), "{code} was taken");
        }
    }
}
