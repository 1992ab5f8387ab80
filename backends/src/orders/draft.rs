//! What a client asks for when it places an order. A [`Draft`] that exists makes sense by itself; whether the products
//! exist and are in stock is for the ledger.

use serde::{Deserialize, Serialize};

const MAX_LINES: usize = 50;
const MAX_QUANTITY: u32 = 1000;

/// `{"items":[{"product_id":1,"quantity":2}]}`: 1 to 50 lines, each of another product.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Draft {
    items: Vec<Line>,
}

impl Draft {
    /// At least one.
    pub fn items(&self) -> &[Line] {
        &self.items
    }
}

/// One product and how many of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Of a product that may not exist.
    pub product_id: i64,
    /// 1 to 1000.
    pub quantity: Quantity,
}

/// 1 to 1000 pieces.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Quantity(u32);

impl Quantity {
    /// As a value for SQL and for sums.
    pub fn get(self) -> i64 {
        self.0.into()
    }
}

impl TryFrom<u32> for Quantity {
    type Error = String;

    fn try_from(pieces: u32) -> Result<Self, String> {
        match pieces {
            1..=MAX_QUANTITY => Ok(Self(pieces)),
            _ => Err(format!("quantity is 1 to {MAX_QUANTITY}")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    items: Vec<Line>,
}

impl TryFrom<Unchecked> for Draft {
    type Error = String;

    fn try_from(Unchecked { items }: Unchecked) -> Result<Self, String> {
        if !(1..=MAX_LINES).contains(&items.len()) {
            return Err(format!("an order has 1 to {MAX_LINES} items"));
        }
        match repeated(&items) {
            Some(product_id) => Err(format!("product {product_id} stands in more than one item")),
            None => Ok(Self { items }),
        }
    }
}

fn repeated(items: &[Line]) -> Option<i64> {
    let mut ids: Vec<i64> = items.iter().map(|line| line.product_id).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        serde_json::from_str::<Draft>(json).expect_err("the draft should be refused").to_string()
    }

    #[test]
    fn a_draft_needs_an_item() {
        assert!(refusal(r#"{"items":[]}"#).contains("1 to 50 items"));
    }

    #[test]
    fn a_quantity_is_between_1_and_1000() {
        for quantity in ["0", "1001", "-1", "1.5", "\"1\"", "null"] {
            refusal(&format!(r#"{{"items":[{{"product_id":1,"quantity":{quantity}}}]}}"#));
        }
    }

    #[test]
    fn a_product_stands_in_one_item_only() {
        let twice = r#"{"items":[{"product_id":1,"quantity":1},{"product_id":1,"quantity":2}]}"#;
        assert!(refusal(twice).contains("product 1 stands in more than one item"));
    }
}
